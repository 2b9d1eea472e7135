"""`kedro traces`: what can be done with the trace store beside filling it."""

from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run

from forkpipe.core.errors import InputError


@click.group(name="traces")
def traces() -> None:
    """Work on the trace store."""


@traces.command(name="clean")
@click.option("--delete", is_flag=True, help="Drop the rows; without it they are counted only.")
def clean_traces(env: str | None, params: dict[str, Any], delete: bool) -> None:
    """Count or drop the rows that today's configuration does not ask for.

    Those are answers to requests that no teacher of `generation` would be sent any more: of another prompt,
    temperature, model or revision, of teachers or problems that are gone, of samples beyond `samples`.
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
                raise InputError("there is no table problems, expected one: kedro run --pipelines=problems makes it")
            problems = [Problem.from_row(row) for row in context.catalog.load("problems").to_pylist()]
            store = context.catalog.load("trace_store")
            found = clean(store, asked_keys(problems, settings), delete=delete)
    except Exception as error:
        if (cause := input_error(error)) is not None:
            raise click.ClickException(str(cause)) from error
        raise
    for teacher, n in sorted(found.rows.items()):
        click.echo(f"{teacher}: {n} rows, {found.tokens[teacher]} tokens out")
    dropped = sum(found.rows.values())
    in_all = dropped + found.rows_kept
    share = found.bytes_before * dropped / max(in_all, 1)
    if not dropped:
        click.echo(f"{store.path}: all {found.rows_kept} rows are asked for")
    elif found.bytes_after is None:
        click.echo(
            f"{store.path}: {dropped} of {in_all} rows are not asked for, about {_size(share)} of "
            f"{_size(found.bytes_before)}; nothing was dropped, --delete drops them"
        )
    else:
        freed = _size(found.bytes_before - found.bytes_after)
        click.echo(f"{store.path}: dropped {dropped} rows, kept {found.rows_kept}; {freed} are free")


def _size(n: float) -> str:
    return f"{n / 1e6:.1f} MB" if n >= 1e6 else f"{n / 1e3:.1f} kB"


clean_traces.params[:0] = [option for option in kedro_run.params if option.name in ("env", "params")]
