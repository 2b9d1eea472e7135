"""The commands that this project adds to `kedro`."""

import click

from forkpipe.commands.standalone import verify
from forkpipe.commands.traces import traces
from kedro_provenance.commands import accept, plan, run


@click.group(name="forkpipe")
def cli() -> None:
    """Commands of this project."""


cli.add_command(run)
cli.add_command(plan)
cli.add_command(accept)
cli.add_command(traces)
cli.add_command(verify)
