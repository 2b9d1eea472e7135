"""Correct traces become strategies, and the strategies are compared with those that teachers are known to use."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from forkpipe.core.progress import Progress, logger
from forkpipe.core.rows import RejectedRow, StrategyRow
from forkpipe.core.statistics import clustering_agreement
from forkpipe.engines.registry import create_engine
from forkpipe.generation.selection import whole_text
from forkpipe.parameters import GenerationSettings, ParallelSettings, StrategySettings
from forkpipe.parameters.traces import AskedModelSettings
from forkpipe.stores.groups import Groups, Joined
from forkpipe.stores.results import ResultStore
from forkpipe.stores.tables import Batches, Rows
from forkpipe.strategies.asker import Asker
from forkpipe.strategies.base import Clusters
from forkpipe.strategies.registry import create_clusterer

if TYPE_CHECKING:
    from forkpipe.strategies.grouping import Judging


COLUMNS = ("trace_id", "problem_id", "teacher", "text", "reasoning", "error", "verdict", "extracted")


def cluster_strategies(
    traces: Any,
    verdicts: Any,
    problems: Any,
    settings: StrategySettings,
    generation: GenerationSettings,
    parallel: ParallelSettings | None = None,
    *,
    store: ResultStore | None = None,
) -> tuple[Batches, Batches, dict[str, Any]]:
    """Cluster the correct traces of each problem; of traces equal up to white space the first is kept.

    Args:
        parallel: one process unless given.
        store: of what was clustered before; None keeps nothing.

    Returns:
        The table `strategies`, rows of `rejected`, and the agreement with known strategies: problems (how many were
        compared), v_measure and adjusted_rand.
    """
    # Their word lists take a while to load, and are not needed to list the pipelines.
    from forkpipe.strategies.grouping import cluster_all
    from forkpipe.strategies.linkage import far_apart

    clusterer = create_clusterer(settings)
    asked = {row["problem_id"]: row["problem"] for row in problems.to_pylist()}
    known = {name: teacher.strategy for name, teacher in generation.asked.items() if teacher.strategy}
    by_problem = Groups(Joined(traces, verdicts, "trace_id", ["verdict", "extracted"], "verdicts"), COLUMNS)
    strategies, rejected = Rows("strategies"), Rows("rejected")
    counts: Counter[str] = Counter()
    scores: list[tuple[float, float]] = []
    waiting: deque[list[dict[str, Any]]] = deque()

    def groups() -> Iterator[tuple[str, list[str]]]:
        for problem_id, rows in by_problem:
            correct, dropped = _distinct_correct(rows)
            rejected.add(dropped)
            counts.update(row["reason"] for row in dropped)
            if correct:
                texts = [whole_text(row) for row in correct]
                waiting.append([{name: row[name] for name in ("trace_id", "problem_id", "teacher")} for row in correct])
                yield asked[problem_id], texts

    progress = Progress("cluster strategies", len(by_problem.problems), unit="problems")
    with strategy_models(settings) as (summaries, judging), nullcontext() if store is None else store:
        clustered = cluster_all(
            clusterer,
            groups(),
            summaries,
            judging,
            make=partial(create_clusterer, settings),
            parallel=parallel,
            store=store,
            options=settings.options,
        )
        for clusters, distances in clustered:
            group = waiting.popleft()
            # Clusters may be near one another though each is within the threshold: then one stands for both.
            apart_enough = (
                range(len(clusters.representatives))
                if distances is None
                else far_apart(distances, clusters.representatives, clusterer.threshold)  # type: ignore[attr-defined]
            )
            rows = _strategy_rows(group, clusters, distances, set(apart_enough))
            strategies.add(rows)
            counts["representatives"] += sum(row["representative"] for row in rows)
            scores += _agreement(rows, [known.get(row["teacher"]) for row in group])
            progress.update(by_problem.problems[group[0]["problem_id"]] + 1)
    agreement = _mean_agreement(scores)
    _log_clusters(strategies.count, counts, agreement)
    return strategies.batches(), rejected.batches(), agreement


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


def _distinct_correct(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[RejectedRow]]:
    """Return the distinct correct traces of a problem, and rows of `rejected` for the others."""
    correct: list[dict[str, Any]] = []
    rejected: list[RejectedRow] = []
    seen: dict[str, str] = {}
    for row in rows:
        if row["verdict"] != "correct":
            detail = row["error"] or f"{row['teacher']} gave '{row['extracted']}'"
            rejected.append(_rejected(row, f"verdict {row['verdict']}", detail))
            continue
        words = " ".join(whole_text(row).split())
        if words in seen:
            rejected.append(_rejected(row, "exact duplicate", f"of trace {seen[words]}"))
        else:
            seen[words] = row["trace_id"]
            correct.append(row)
    return correct, rejected


def _strategy_rows(
    group: list[dict[str, Any]], clusters: Clusters, distances: np.ndarray | None, apart_enough: set[int]
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


def _rejected(trace: Mapping[str, Any], reason: str, detail: str) -> RejectedRow:
    return {"stage": "traces", "id": trace["trace_id"], "reason": reason, "detail": detail}


def _agreement(rows: Sequence[StrategyRow], strategies: Sequence[str | None]) -> list[tuple[float, float]]:
    """Return (V-measure, adjusted Rand index) of the clusters of a problem, nothing where too few can be compared.

    Args:
        strategies: those that the teachers of the rows are known to use.
    """
    pairs = [(true, row["strategy"]) for row, true in zip(rows, strategies, strict=True) if true is not None]
    if len(pairs) < 2:
        return []
    return [clustering_agreement([true for true, _ in pairs], [label for _, label in pairs])]


def _mean_agreement(scores: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return the means over problems."""
    if not scores:
        return {"problems": 0, "v_measure": None, "adjusted_rand": None}
    return {
        "problems": len(scores),
        "v_measure": sum(score[0] for score in scores) / len(scores),
        "adjusted_rand": sum(score[1] for score in scores) / len(scores),
    }


def _log_clusters(n: int, counts: Counter[str], agreement: Mapping[str, Any]) -> None:
    left_out = Counter({reason: n for reason, n in counts.items() if reason != "representatives"})
    logger.info(
        "%d distinct correct traces in %d strategies; left out: %s",
        n,
        counts["representatives"],
        ", ".join(f"{n} {reason}" for reason, n in left_out.most_common()) or "none",
    )
    if agreement["problems"]:
        logger.info(
            "clusters against the teachers' known strategies on %d problems: V-measure %.3f, adjusted Rand %.3f",
            agreement["problems"],
            agreement["v_measure"],
            agreement["adjusted_rand"],
        )
