"""Every figure by name, in the order in which the report shows them; the catalog calls them `figure_{name}`."""

from typing import Any

from forkpipe.evaluation.samples import first_seed
from forkpipe.report.figures import (
    benchmarks,
    comparison,
    coverage,
    funnel,
    matching,
    pass_at_k,
    rejected,
    strategies,
    tags,
    training,
    verdicts,
)

FIGURES = {
    "comparison": comparison.FIGURE,
    "benchmarks": benchmarks.FIGURE,
    "benchmark_table": benchmarks.TABLE,
    "verdicts": verdicts.FIGURE,
    "pass_at_k": pass_at_k.FIGURE,
    "tags": tags.FIGURE,
    "coverage": coverage.FIGURE,
    "matching": matching.FIGURE,
    "training": training.FIGURE,
    "funnel": funnel.FIGURE,
    "strategies": strategies.FIGURE,
    "rejected": rejected.FIGURE,
}

INPUTS = sorted({name for figure in FIGURES.values() for name in figure.inputs})
"""Datasets that some figure is drawn from."""


def make_figures(**tables: Any) -> dict[str, Any]:
    """Return every plotly figure by name.

    Args:
        **tables: those of `INPUTS`, see `base.Figure`; `benchmark_metrics` may be left out.
    """
    of_one_seed = {
        name: first_seed(table) if "training_seed" in getattr(table, "column_names", ()) else table
        for name, table in tables.items()
    }
    tables, of_one_seed = ({"benchmark_metrics": [], **given} for given in (tables, of_one_seed))
    figures = {}
    for name, figure in FIGURES.items():
        given = tables if figure.all_seeds else of_one_seed
        figures[name] = figure.draw(**{key: given[key] for key in figure.inputs})
    return figures
