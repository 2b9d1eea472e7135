"""Node of the report: tables and figures in, one HTML file out."""

from typing import Any

from forkpipe.parameters import EvaluationSettings
from forkpipe.pipelines.inputs import grouped
from forkpipe.report.page import make_report


def make_report_node(
    comparison: Any,
    scores: Any,
    problems: Any,
    tag_information: dict[str, Any],
    strategy_agreement: dict[str, Any],
    generation_report: Any,
    environment: str,
    seed: int,
    settings: EvaluationSettings,
    **figures: Any,
) -> str:
    """Return the report, from these tables and all figures."""
    return make_report(
        figures=grouped("figure", figures),
        comparison=comparison,
        scores=scores,
        problems=problems,
        tag_information=tag_information,
        strategy_agreement=strategy_agreement,
        generation=generation_report,
        environment=environment,
        seed=seed,
        resamples=settings.bootstrap,
    )
