"""The command line without Kedro: `forkpipe verify`, `forkpipe strategies`."""

import json
import time
from typing import Any

import click

from forkpipe.core.errors import InputError


@click.group(name="forkpipe", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="forkpipe")
def main() -> None:
    """Tools of forkpipe that need no project."""


@main.command()
@click.argument("file")
@click.option("--gold", required=True, metavar="COLUMN", help="Column with the gold answers.")
@click.option("--response", required=True, metavar="COLUMN", help="Column with the responses.")
@click.option("--output", required=True, metavar="FILE", help="JSONL or Parquet, by its ending.")
@click.option("--type", "answer_type", default="math", show_default=True, help="math, text, choice, number, ...")
@click.option("--finish-reason", metavar="COLUMN", help='Column that says "length" where a response was cut.')
@click.option("--without", multiple=True, metavar="RULE", help="Switch a rewrite rule off, 'all' for all (math).")
@click.option("--timeout", type=float, metavar="SECONDS", help="For one comparison (math).")
@click.option("--workers", type=int, metavar="N", help="Worker processes (math).")
@click.option("--option", multiple=True, metavar="NAME=VALUE", help="Any option of the verifier, e.g. cpu_seconds=10.")
@click.option("--tolerance", type=float, metavar="SHARE", help="Relative tolerance (number).")
@click.option(
    "--max-unscored",
    type=click.FloatRange(0, 1),
    default=1.0,
    metavar="SHARE",
    help="Fail when more verdicts than this are unparsed, timeout or failed.",
)
def verify(
    file: str,
    gold: str,
    response: str,
    output: str,
    answer_type: str,
    finish_reason: str | None,
    without: tuple[str, ...],
    timeout: float | None,
    workers: int | None,
    option: tuple[str, ...],
    tolerance: float | None,
    max_unscored: float,
) -> None:
    """Compare the answers of responses with gold answers.

    Writes the rows of FILE (JSONL, JSONL.gz, Parquet, CSV) in order with the columns verdict, extracted,
    extracted_from, rule and verifier_version, and prints how many rows have which verdict.
    """
    from forkpipe.api import verifier_for
    from forkpipe.verification.files import verify_file

    given = {"timeout_seconds": timeout, "workers": workers, "relative": tolerance, "without": list(without) or None}
    options = {name: value for name, value in given.items() if value is not None} | dict(map(_option, option))
    started = time.monotonic()
    try:
        summary = verify_file(
            file,
            output,
            gold=gold,
            response=response,
            verifier=verifier_for(answer_type, options),
            finish_reason=finish_reason,
            max_unscored=max_unscored,
            on_progress=lambda done: click.echo(f"{done} rows, {time.monotonic() - started:.0f} s", err=True),
        )
    except InputError as error:
        raise click.ClickException(str(error)) from error
    click.echo(str(summary))


def _option(text: str) -> tuple[str, Any]:
    """Return the name and value of NAME=VALUE; a value that is no JSON is text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text}: expected NAME=VALUE", param_hint="--option")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@main.command()
@click.option("--backend", default="auto", show_default=True, help="auto, namespaces or landlock.")
def sandbox(backend: str) -> None:
    """Say what this machine isolates, and try to break out of it."""
    from forkpipe.sandbox.local import LocalSandbox
    from forkpipe.sandbox.probe import probe, report

    try:
        tried = LocalSandbox(backend=backend)
        described, outcomes = tried.describe(), probe(tried)
        tried.close()
    except InputError as error:
        raise click.ClickException(str(error)) from error
    click.echo(report(described, outcomes))
    if not all(outcome.held for outcome in outcomes):
        raise SystemExit(1)


@main.command()
@click.argument("file")
@click.option("--pairs", is_flag=True, help="FILE holds pairs: problem, a, b. Writes distance and label a row.")
@click.option("--output", metavar="FILE", help="JSONL, of --pairs; standard output where it is not given.")
@click.option("--text", metavar="FIELD", help="Field of the traces; else trace, text, response or solution.")
@click.option("--threshold", type=float, metavar="DISTANCE", help="Up to which two traces are the same strategy.")
@click.option("--most", type=click.IntRange(1), default=10, show_default=True, help="Problems shown.")
def strategies(
    file: str, pairs: bool, output: str | None, text: str | None, threshold: float | None, most: int
) -> None:
    """Show how the traces of each problem solve it: clusters side by side, with the steps that set them apart.

    FILE (JSONL, JSONL.gz, Parquet, CSV) holds rows with problem, the trace and perhaps a teacher. The traces should be
    correct ones.
    """
    from itertools import islice

    from rich.console import Console

    from forkpipe.strategies.clusterer import THRESHOLD, StepClusterer
    from forkpipe.strategies.files import compare_file, groups_of
    from forkpipe.strategies.show import columns_of, table_of

    try:
        clusterer = StepClusterer(THRESHOLD if threshold is None else threshold)
        if pairs:
            count = compare_file(file, output, clusterer.threshold)
            if output:
                click.echo(f"{count} pairs written to {output}")
            return
        if output:
            raise InputError("--output goes with --pairs, clusters are shown")
        console = Console()
        for problem, texts, teachers in islice(groups_of(file, text), most):
            console.print(table_of(problem, columns_of(problem, texts, teachers, clusterer.cluster(problem, texts))))
    except InputError as error:
        raise click.ClickException(str(error)) from error
