"""Correct traces become strategies, and the strategies are compared with those that teachers are known to use."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from forkpipe.core.progress import Progress, logger
from forkpipe.core.rows import RejectedRow, StrategyRow, TraceRow
from forkpipe.core.statistics import clustering_agreement
from forkpipe.engines.registry import create_engine
from forkpipe.generation.selection import whole_text
from forkpipe.parameters import GenerationSettings, StrategySettings
from forkpipe.parameters.traces import AskedModelSettings
from forkpipe.strategies.asker import Asker
from forkpipe.strategies.base import Clusters
from forkpipe.strategies.registry import create_clusterer

if TYPE_CHECKING:
    from forkpipe.strategies.grouping import Judging


def cluster_strategies(
    traces: Any, verdicts: Any, problems: Any, settings: StrategySettings, generation: GenerationSettings
) -> tuple[list[StrategyRow], list[RejectedRow], dict[str, Any]]:
    """Cluster the correct traces of each problem; of traces equal up to white space the first is kept.

    Returns:
        Rows of `strategies`, rows of `rejected`, and the agreement with known strategies: problems (how many were
        compared), v_measure and adjusted_rand.
    """
    # Their word lists take a while to load, and are not needed to list the pipelines.
    from forkpipe.strategies.grouping import cluster_all
    from forkpipe.strategies.linkage import far_apart

    clusterer = create_clusterer(settings)
    texts = {row["problem_id"]: row["problem"] for row in problems.to_pylist()}
    correct, rejected = _distinct_correct(traces, verdicts)
    rows: list[StrategyRow] = []
    # Reading the traces takes most of the time, so their length is the size of a problem's work.
    sizes = [sum(len(row["text"]) + len(row["reasoning"]) for row in group) for group in correct.values()]
    progress = Progress("cluster strategies", len(correct), unit="problems", sizes=sizes)
    groups = ((texts[problem_id], [whole_text(row) for row in group]) for problem_id, group in correct.items())
    with strategy_models(settings) as (summaries, judging):
        clustered = cluster_all(clusterer, groups, summaries, judging)
        for done, (group, (clusters, distances)) in enumerate(zip(correct.values(), clustered, strict=True), 1):
            # Clusters may be near one another though each is within the threshold: then one stands for both.
            apart_enough = (
                range(len(clusters.representatives))
                if distances is None
                else far_apart(distances, clusters.representatives, clusterer.threshold)  # type: ignore[attr-defined]
            )
            rows += _strategy_rows(group, clusters, distances, set(apart_enough))
            progress.update(done)
    agreement = _agreement(rows, correct, generation)
    _log_clusters(rows, rejected, agreement)
    return rows, rejected, agreement


@contextmanager
def strategy_models(settings: StrategySettings) -> Iterator[tuple[Asker | None, "Judging | None"]]:
    """Yield the models that `grouping.cluster_all` takes, and close their engines at the end."""
    from forkpipe.strategies.grouping import Judging

    with ExitStack() as stack:

        def asker(model: AskedModelSettings, where: str) -> Asker:
            engine = create_engine(model.engine, model.options, f"strategies.{where}")
            stack.callback(engine.close)
            name = f"strategies.{where}: engine '{model.engine}'"
            return Asker(engine, model.sampling.record(), model.revision, model.cache, name)

        summaries = asker(settings.summaries, "summaries") if settings.summaries else None
        judge = settings.judge
        yield summaries, Judging(asker(judge, "judge"), judge.margin) if judge else None


def _distinct_correct(traces: Any, verdicts: Any) -> tuple[dict[str, list[TraceRow]], list[RejectedRow]]:
    """Return the distinct correct traces of each problem, and rows of `rejected` for the others."""
    verdict_of = {row["trace_id"]: row for row in verdicts.to_pylist()}
    correct: dict[str, list[TraceRow]] = defaultdict(list)
    rejected: list[RejectedRow] = []
    seen: dict[tuple[str, str], str] = {}
    for row in traces.to_pylist():
        verdict = verdict_of[row["trace_id"]]
        key = (row["problem_id"], " ".join(whole_text(row).split()))
        if verdict["verdict"] != "correct":
            detail = row["error"] or f"{row['teacher']} gave '{verdict['extracted']}'"
            rejected.append(_rejected(row, f"verdict {verdict['verdict']}", detail))
        elif key in seen:
            rejected.append(_rejected(row, "exact duplicate", f"of trace {seen[key]}"))
        else:
            seen[key] = row["trace_id"]
            correct[row["problem_id"]].append(row)
    return correct, rejected


def _strategy_rows(
    group: list[TraceRow], clusters: Clusters, distances: np.ndarray | None, apart_enough: set[int]
) -> list[StrategyRow]:
    """Return the rows of `strategies` for the traces of one problem, whose distances are (traces, traces)."""
    return [
        {
            "trace_id": row["trace_id"],
            "problem_id": row["problem_id"],
            "strategy": strategy,
            "representative": clusters.representatives[strategy] == position and strategy in apart_enough,
            "distance": clusters.distances[position],
            "distances": None if distances is None else distances[position, clusters.representatives].tolist(),
            "distances_to_earlier": None if distances is None else distances[position, :position].tolist(),
        }
        for position, (row, strategy) in enumerate(zip(group, clusters.labels, strict=True))
    ]


def _rejected(trace: TraceRow, reason: str, detail: str) -> RejectedRow:
    return {"stage": "traces", "id": trace["trace_id"], "reason": reason, "detail": detail}


def _agreement(
    rows: list[StrategyRow], correct: Mapping[str, list[TraceRow]], generation: GenerationSettings
) -> dict[str, Any]:
    """Compare clusters with the strategies that teachers are known to use, per problem, averaged over problems."""
    known = {name: teacher.strategy for name, teacher in generation.asked.items() if teacher.strategy}
    teacher_of = {row["trace_id"]: row["teacher"] for group in correct.values() for row in group}
    pairs: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for row in rows:
        strategy = known.get(teacher_of[row["trace_id"]])
        if strategy is not None:
            pairs[row["problem_id"]].append((strategy, row["strategy"]))
    scores = [
        clustering_agreement([true for true, _ in group], [label for _, label in group])
        for group in pairs.values()
        if len(group) > 1
    ]
    if not scores:
        return {"problems": 0, "v_measure": None, "adjusted_rand": None}
    return {
        "problems": len(scores),
        "v_measure": sum(score[0] for score in scores) / len(scores),
        "adjusted_rand": sum(score[1] for score in scores) / len(scores),
    }


def _log_clusters(rows: list[StrategyRow], rejected: list[RejectedRow], agreement: dict[str, Any]) -> None:
    left_out = Counter(row["reason"] for row in rejected)
    logger.info(
        "%d distinct correct traces in %d strategies; left out: %s",
        len(rows),
        sum(row["representative"] for row in rows),
        ", ".join(f"{n} {reason}" for reason, n in left_out.most_common()) or "none",
    )
    if agreement["problems"]:
        logger.info(
            "clusters against the teachers' known strategies on %d problems: V-measure %.3f, adjusted Rand %.3f",
            agreement["problems"],
            agreement["v_measure"],
            agreement["adjusted_rand"],
        )
