"""The command `forkpipe`: `forkpipe new`, `forkpipe sandbox`, `forkpipe verify`, `forkpipe strategies`."""

import json
import time
from typing import Any

import click

from forkpipe.commands.evaluate import evaluate
from forkpipe.commands.new import new
from forkpipe.commands.sandbox import sandbox
from forkpipe.core.errors import InputError


@click.group(name="forkpipe", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="forkpipe")
def main() -> None:
    """Commands that work outside of a Kedro project."""


main.add_command(evaluate)
main.add_command(new)
main.add_command(sandbox)


@main.command()
@click.argument("file")
@click.option("--gold", metavar="COLUMN", help="Column with the gold answers.")
@click.option(
    "--problems",
    metavar="FILE",
    help="In place of --gold: a data set of programs with their tests (LiveCodeBench, ...).",
)
@click.option("--id", "id_column", default="question_id", show_default=True, help="Column that names a row's problem.")
@click.option("--window", metavar="NAME", help="Problems of one window of LiveCodeBench, e.g. lcb_v5_paper.")
@click.option("--public-only", is_flag=True, help="Take public tests where private ones are missing; figures say so.")
@click.option(
    "--by",
    multiple=True,
    metavar="COLUMN",
    help="Give figures by this column too (programs; difficulty, platform, errata by default).",
)
@click.option("--response", required=True, metavar="COLUMN", help="Column with the responses.")
@click.option("--output", required=True, metavar="FILE", help="JSONL or Parquet, by its ending.")
@click.option(
    "--type", "answer_type", default="math", show_default=True, help="math, text, number, ... or module:Class."
)
@click.option(
    "--finish-reason", metavar="COLUMN", help='Column that is "length" where a response was cut by a token limit.'
)
@click.option(
    "--label", metavar="COLUMN", help="Column that says whether a response is correct; prints how often verdicts agree."
)
@click.option("--bare", is_flag=True, help="The responses are answers and nothing else (not programs).")
@click.option(
    "--without", multiple=True, metavar="RULE", help="Switch off a rule, or 'all' or 'own-pairs-only' of them (math)."
)
@click.option(
    "--timeout", "timeout_seconds", type=float, metavar="SECONDS", help="Processor time for one comparison (math)."
)
@click.option("--workers", type=int, metavar="N", help="Worker processes (math).")
@click.option("--option", multiple=True, metavar="NAME=VALUE", help="An option of the verifier, e.g. cpu_seconds=10.")
@click.option("--tolerance", "relative", type=float, metavar="SHARE", help="Relative tolerance (number).")
@click.option(
    "--max-unscored",
    type=click.FloatRange(0, 1),
    default=1.0,
    metavar="SHARE",
    help="Fail if a larger share of verdicts is unparsed, timeout or failed.",
)
def verify(
    file: str,
    output: str,
    gold: str | None,
    response: str,
    problems: str | None,
    id_column: str,
    window: str | None,
    public_only: bool,
    by: tuple[str, ...],
    finish_reason: str | None,
    label: str | None,
    bare: bool,
    answer_type: str,
    option: tuple[str, ...],
    max_unscored: float,
    **options: Any,
) -> None:
    """Compare the answers of responses with gold answers.

    Writes the rows of FILE (JSONL, JSONL.gz, Parquet, CSV) in order with the columns verdict, extracted,
    extracted_from, rule and verifier_version, and prints how many rows have which verdict; for programs also the
    accuracy on all problems and by subset.
    """
    from forkpipe.api import verifier_for
    from forkpipe.verification.code.problems import SUBSETS, read_problems
    from forkpipe.verification.files import Columns, Problems, verify_file

    chosen = {
        name: list(value) if name == "without" else value for name, value in options.items() if value not in (None, ())
    } | dict(map(_named_option, option))
    started = time.monotonic()
    if (gold is None) == (problems is None):
        raise click.UsageError("expected either --gold or --problems")
    if problems is None and (window is not None or public_only):
        raise click.UsageError("--window and --public-only go with --problems")
    try:
        known = None
        if problems is not None:
            answer_type = "code"
            tests: Any = chosen.get("tests")
            rows = read_problems(problems, tests=tests, window=window, public_only=public_only)
            known = Problems(id_column, {row["id"]: row for row in rows}, problems)
        summary = verify_file(
            file,
            output,
            columns=Columns(gold or "", response, finish_reason, label, bare, by or SUBSETS),
            problems=known,
            verifier=verifier_for(answer_type, chosen),
            max_unscored=max_unscored,
            on_progress=lambda done: click.echo(f"{done} rows, {time.monotonic() - started:.0f} s", err=True),
        )
    except InputError as error:
        raise click.ClickException(str(error)) from error
    click.echo(str(summary))


def _named_option(text: str) -> tuple[str, Any]:
    """Return the name and value of NAME=VALUE; a value that is not JSON is text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text}: expected NAME=VALUE", param_hint="--option")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@main.command()
@click.argument("file")
@click.option(
    "--pairs", is_flag=True, help="FILE holds pairs of traces (problem, a, b); write the distance and a label for each."
)
@click.option("--output", metavar="FILE", help="JSONL file for the result of --pairs, instead of standard output.")
@click.option("--text", metavar="FIELD", help="Field with the traces, if it is not trace, text, response or solution.")
@click.option(
    "--threshold", type=float, metavar="DISTANCE", help="Largest distance between two traces of the same strategy."
)
@click.option("--most", type=click.IntRange(1), default=10, show_default=True, help="Number of problems to show.")
def strategies(
    file: str, pairs: bool, output: str | None, text: str | None, threshold: float | None, most: int
) -> None:
    """Show the different strategies of each problem's traces side by side, with the steps that set them apart.

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
            raise InputError("--output goes with --pairs: without it, clusters are printed")
        console = Console()
        for problem, texts, teachers in islice(groups_of(file, text), most):
            console.print(table_of(problem, columns_of(problem, texts, teachers, clusterer.cluster(problem, texts))))
    except InputError as error:
        raise click.ClickException(str(error)) from error
