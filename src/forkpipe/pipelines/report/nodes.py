"""Nodes of reporting: tables in, figures and one HTML file out.

Plotly is imported when a node runs, so that listing pipelines needs none.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from forkpipe.core.records import SPLITS
from forkpipe.evaluation.differences import paired_differences
from forkpipe.parameters import EvaluationSettings
from forkpipe.parameters.methods import MATCHED, METHODS

if TYPE_CHECKING:
    import plotly.graph_objects as go


def make_figures(
    *,
    comparison: pa.Table,
    metrics: pa.Table,
    scores: Sequence[pa.Table],
    tag_information: Mapping[str, Any],
    matchings: Mapping[str, pa.Table],
    training_logs: Mapping[str, pa.Table],
    problems: pa.Table,
    traces: pa.Table,
    verdicts: pa.Table,
    strategies: pa.Table,
    trace_sets: pa.Table,
    rejected: pa.Table,
) -> "dict[str, go.Figure]":
    """Return every figure of the report by name (the names of `captions.FIGURES`).

    Args:
        comparison: the `comparison` table.
        metrics: the `metrics` table.
        scores: the `scores` table of each method.
        tag_information: result of `evaluation.tags.tag_information`.
        matchings: the `matching` table of each method trained with tags.
        training_logs: the `training_log` table of each method.
        problems, traces, verdicts, strategies, trace_sets, rejected: the tables of these names.
    """
    from forkpipe.report import data_figures, figures

    return {
        "comparison": figures.figure_comparison(comparison),
        "pass_at_k": figures.figure_pass_at_k(metrics),
        "tags": figures.figure_tags(scores, tag_information),
        "matching": figures.figure_matching(tag_information, matchings),
        "training": figures.figure_training(training_logs),
        "funnel": data_figures.figure_funnel(problems, traces, verdicts, strategies, trace_sets),
        "strategies": data_figures.figure_strategies(traces, strategies, trace_sets),
        "rejected": data_figures.figure_rejected(rejected),
    }


def make_report(
    *,
    figures: "Mapping[str, go.Figure]",
    comparison: pa.Table,
    scores: Sequence[pa.Table],
    problems: pa.Table,
    tag_information: Mapping[str, Any],
    strategy_agreement: Mapping[str, float] | None,
    generation: pa.Table,
    versions: Mapping[str, str],
    title: str,
    environment: str,
    seed: int,
    resamples: int,
) -> str:
    """Return the report as one HTML document.

    Args:
        figures: result of `make_figures`.
        comparison: the `comparison` table.
        scores: the `scores` table of each method, for the paired differences.
        problems: the `problems` table, for the number of problems in each split.
        tag_information: result of `evaluation.tags.tag_information`.
        strategy_agreement: problems (how many were compared), v_measure and adjusted_rand.
        generation: the `generation_report` table.
        versions: package -> version, for the footer.
        title: heading of the report.
        environment: name of the configuration that was run.
        seed: of the run, also of the bootstrap.
        resamples: number of bootstrap resamples for the paired differences.
    """
    from forkpipe.report.html import render_report

    counts = Counter(problems.column("split").to_pylist())
    return render_report(
        title=title,
        environment=environment,
        seed=seed,
        problem_counts={split: counts[split] for split in SPLITS if counts[split]},
        comparison=comparison,
        differences=paired_differences(scores, comparison, resamples=resamples, seed=seed),
        figures=figures,
        tag_information=tag_information,
        strategy_agreement=strategy_agreement if strategy_agreement and strategy_agreement["problems"] else None,
        generation=generation.to_pylist(),
        versions=versions,
    )


FIGURES = ("comparison", "pass_at_k", "tags", "matching", "training", "funnel", "strategies", "rejected")
"""Names of the figures, in the order in which the catalog entries `figure_{name}` are made."""


def make_figures_node(
    comparison: Any,
    metrics: Any,
    tag_information: dict[str, Any],
    problems: Any,
    traces: Any,
    verdicts: Any,
    strategies: Any,
    trace_sets: Any,
    rejected: Any,
    *tables: Any,
) -> tuple[Any, ...]:
    """Return the figures in the order of `FIGURES`.

    Args:
        comparison, metrics, tag_information, problems, traces, verdicts, strategies, trace_sets, rejected: by name.
        *tables: scores of every method, training logs of every method, matchings of `MATCHED`.
    """
    n = len(METHODS)
    made = make_figures(
        comparison=comparison,
        metrics=metrics,
        scores=tables[:n],
        tag_information=tag_information,
        matchings=dict(zip(MATCHED, tables[2 * n :], strict=True)),
        training_logs=dict(zip(METHODS, tables[n : 2 * n], strict=True)),
        problems=problems,
        traces=traces,
        verdicts=verdicts,
        strategies=strategies,
        trace_sets=trace_sets,
        rejected=rejected,
    )
    return tuple(made[name] for name in FIGURES)


def make_report_node(
    comparison: Any,
    problems: Any,
    tag_information: dict[str, Any],
    strategy_agreement: dict[str, Any],
    generation_report: Any,
    environment: str,
    seed: int,
    settings: EvaluationSettings,
    *rest: Any,
) -> str:
    """Return the report.

    Args:
        comparison, problems, tag_information, strategy_agreement, generation_report, environment, seed: by name.
        settings: for the number of bootstrap resamples.
        *rest: the figures in the order of `FIGURES`, then the scores of every method.
    """
    return make_report(
        figures=dict(zip(FIGURES, rest, strict=False)),
        comparison=comparison,
        scores=rest[len(FIGURES) :],
        problems=problems,
        tag_information=tag_information,
        strategy_agreement=strategy_agreement,
        generation=generation_report,
        versions=_versions(),
        title="forkpipe: SSFT and GFPO against their baselines",
        environment=environment,
        seed=seed,
        resamples=settings.bootstrap,
    )


def _versions() -> dict[str, str]:
    packages = ("forkpipe", "kedro", "torch", "transformers", "trl", "math-verify")
    return {name: version(name) for name in packages}
