"""Collect what the report shows from tables and figures, and render it."""

from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from forkpipe.core.records import SPLITS
from forkpipe.evaluation.differences import paired_differences

if TYPE_CHECKING:
    import plotly.graph_objects as go

TITLE = "forkpipe: SSFT and GFPO against their baselines"
PACKAGES = ("forkpipe", "kedro", "torch", "transformers", "trl", "math-verify")
"""Packages whose versions the report names."""


def make_report(
    *,
    figures: "Mapping[str, go.Figure]",
    comparison: pa.Table,
    scores: pa.Table,
    problems: pa.Table,
    tag_information: Mapping[str, Any],
    strategy_agreement: Mapping[str, float] | None,
    generation: pa.Table,
    environment: str,
    seed: int,
    resamples: int,
    title: str = TITLE,
    versions: Mapping[str, str] | None = None,
) -> str:
    """Return the report as one HTML document.

    Args:
        figures: result of `figures.registry.make_figures`.
        comparison: the `comparison` table.
        scores: the `scores` tables of all methods in one, for the paired differences.
        problems: the `problems` table, for the number of problems in each split.
        tag_information: result of `evaluation.tag_information.tag_information`.
        strategy_agreement: problems (how many were compared), v_measure and adjusted_rand.
        generation: the `generation_report` table.
        environment: name of the configuration that was run.
        seed: of the run, also of the bootstrap.
        resamples: number of bootstrap resamples for the paired differences.
        title: heading of the report.
        versions: package -> version, for the footer; None for those of `PACKAGES` as installed.
    """
    from forkpipe.report.html import render_report

    counts = Counter(problems.column("split").to_pylist())
    return render_report(
        title=title,
        environment=environment,
        seed=seed,
        problem_counts={split: counts[split] for split in SPLITS if counts[split]},
        comparison=comparison,
        differences=paired_differences([scores], comparison, resamples=resamples, seed=seed),
        figures=figures,
        tag_information=tag_information,
        strategy_agreement=strategy_agreement if strategy_agreement and strategy_agreement["problems"] else None,
        generation=generation.to_pylist(),
        versions={name: version(name) for name in PACKAGES} if versions is None else versions,
    )
