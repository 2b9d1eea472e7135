"""Nodes of the report: tables in, figures and one HTML file out."""

from typing import Any

from forkpipe.parameters import EvaluationSettings
from forkpipe.pipelines.inputs import grouped
from forkpipe.report.figures.registry import INPUTS, make_figures
from forkpipe.report.page import make_report


def make_figures_node(**tables: Any) -> dict[str, Any]:
    """Return every figure by name, from the tables of `INPUTS`."""
    return make_figures(**{name: tables[name] if name in tables else grouped(name, tables) for name in INPUTS})


def make_report_node(
    comparison: Any,
    problems: Any,
    tag_information: dict[str, Any],
    strategy_agreement: dict[str, Any],
    generation_report: Any,
    environment: str,
    seed: int,
    settings: EvaluationSettings,
    **tables: Any,
) -> str:
    """Return the report, from these tables, every `figure` and the `scores` of every method."""
    return make_report(
        figures=grouped("figure", tables),
        comparison=comparison,
        scores=grouped("scores", tables),
        problems=problems,
        tag_information=tag_information,
        strategy_agreement=strategy_agreement,
        generation=generation_report,
        environment=environment,
        seed=seed,
        resamples=settings.bootstrap,
    )
