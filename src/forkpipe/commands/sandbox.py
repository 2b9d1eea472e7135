"""`forkpipe sandbox`: what this machine isolates."""

import click

from forkpipe.core.errors import InputError


@click.command()
@click.option("--backend", default="auto", show_default=True, help="auto, namespaces or landlock.")
def sandbox(backend: str) -> None:
    """Show what the sandbox isolates on this machine, and run probes that try to break out of it."""
    from forkpipe.sandbox.local import LocalSandbox
    from forkpipe.sandbox.probe import probe, report

    try:
        local = LocalSandbox(backend=backend)
        described, outcomes = local.describe(), probe(local)
        local.close()
    except InputError as error:
        raise click.ClickException(str(error)) from error
    click.echo(report(described, outcomes))
    if not all(outcome.held for outcome in outcomes):
        raise SystemExit(1)
