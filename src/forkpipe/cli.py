"""The commands that this project adds to `kedro`."""

import click

from forkpipe.commands.params import with_lists
from forkpipe.commands.standalone import verify
from forkpipe.commands.traces import traces
from kedro_provenance.commands import accept, plan, run


@click.group(name="forkpipe")
def cli() -> None:
    """Commands of this project."""


for command in (run, plan, accept):
    cli.add_command(with_lists(command))
cli.add_command(traces)
cli.add_command(verify)
