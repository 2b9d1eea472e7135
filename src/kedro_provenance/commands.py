"""Commands for `kedro`: `run` with --force, `plan` and `accept`. All take the options of Kedro's own `kedro run`."""

from collections.abc import Callable
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run

from kedro_provenance.options import Options, asking


def _like_run(
    name: str, help_text: str, extra: list[click.Parameter], make: Callable[[dict[str, Any]], Options]
) -> Any:
    """Return a command with the options of `kedro run` and `extra`; `make` removes the values of `extra`."""

    original: Callable[..., Any] = kedro_run.callback  # type: ignore[assignment]

    def callback(**given: Any) -> Any:
        with asking(make(given)):
            return original(**given)

    return click.Command(name, callback=callback, params=[*kedro_run.params, *extra], help=help_text)


def _forced(given: dict[str, Any]) -> Options:
    named = given.pop("force")
    names = tuple(name for value in named for name in value.split(",") if name != "all")
    return Options("run", names, force_all=any("all" in value.split(",") for value in named))


def _accepted(given: dict[str, Any]) -> Options:
    return Options("accept", tuple(given.pop("accepted")))


run = _like_run(
    "run",
    "Run the stale nodes of a pipeline and those they need. `kedro plan` lists them.",
    [
        click.Option(
            ["--force"],
            multiple=True,
            metavar="all|NODE[,NODE]",
            help="Run these nodes even if they are fresh; 'all' for all of the pipeline.",
        )
    ],
    _forced,
)
plan = _like_run(
    "plan", "List what `kedro run` would run and why, without running it.", [], lambda given: Options("plan")
)
accept = _like_run(
    "accept",
    "Keep stale or unknown outputs as they are, and record that; of all nodes, or of the named ones.",
    [click.Argument(["accepted"], nargs=-1, metavar="[NODE]...")],
    _accepted,
)
