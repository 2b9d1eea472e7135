"""`kedro traces`: commands on the trace store."""

from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run

from forkpipe.core.errors import InputError


@click.group(name="traces")
def traces() -> None:
    """Work on the trace store."""


@traces.command(name="clean")
@click.option("--delete", is_flag=True, help="Delete the rows; without this option they are only counted.")
def clean_traces(env: str | None, params: dict[str, Any], delete: bool) -> None:
    """Count or delete the rows of the trace store that the current configuration does not ask for.

    They answer requests that would not be sent to any teacher of `generation` any more: requests with another prompt,
    temperature, model or revision, of removed teachers or problems, or for more samples than `samples`.
    """
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    from forkpipe.core.records import Problem
    from forkpipe.generation.cleaning import asked_keys, clean
    from forkpipe.parameters import check_parameters
    from forkpipe.session import input_error

    project = Path.cwd()
    bootstrap_project(project)
    try:
        session: Any = KedroSession.create(project, env=env, runtime_params=params)
        with session:
            context = session.load_context()
            settings = check_parameters(context.config_loader["parameters"]).generation
            if not context.catalog.exists("problems"):
                raise InputError(
                    "the table problems does not exist: expected one, `kedro run --pipelines=problems` makes it"
                )
            problems = [Problem.from_row(row) for row in context.catalog.load("problems").to_pylist()]
            store = context.catalog.load("trace_store")
            dropping = clean(store, asked_keys(problems, settings), delete=delete)
    except Exception as error:
        if (cause := input_error(error)) is not None:
            raise click.ClickException(str(cause)) from error
        raise
    for teacher, n in sorted(dropping.rows.items()):
        click.echo(f"{teacher}: {n} rows, {dropping.tokens[teacher]} tokens out")
    dropped = sum(dropping.rows.values())
    in_all = dropped + dropping.rows_kept
    share = dropping.bytes_before * dropped / max(in_all, 1)
    if not dropped:
        click.echo(f"{store.path}: all {dropping.rows_kept} rows are asked for")
    elif dropping.bytes_after is None:
        click.echo(
            f"{store.path}: {dropped} of {in_all} rows are not asked for, about {_size(share)} of "
            f"{_size(dropping.bytes_before)}; nothing was dropped, --delete drops them"
        )
    else:
        freed = _size(dropping.bytes_before - dropping.bytes_after)
        click.echo(f"{store.path}: dropped {dropped} rows, kept {dropping.rows_kept}; {freed} are free")


def _size(n: float) -> str:
    return f"{n / 1e6:.1f} MB" if n >= 1e6 else f"{n / 1e3:.1f} kB"


clean_traces.params[:0] = [option for option in kedro_run.params if option.name in ("env", "params")]
