"""The project's own commands for `kedro`."""

import click

from forkpipe.commands import verify
from forkpipe.pipelines.trace_generation.commands import traces
from forkpipe.provenance.commands import accept, plan, run


@click.group(name="forkpipe")
def cli() -> None:
    """Commands of this project."""


cli.add_command(run)
cli.add_command(plan)
cli.add_command(accept)
cli.add_command(traces)
cli.add_command(verify)
