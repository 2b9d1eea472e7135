"""Problems become trace sets: ask the teachers, verify, cluster by strategy, select."""

import logging
from collections import Counter, defaultdict
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.progress import Progress, logger
from forkpipe.core.records import Problem
from forkpipe.core.statistics import clustering_agreement
from forkpipe.engines.registry import create_engines
from forkpipe.generation.budget import Budget
from forkpipe.generation.collecting import collect, stop_or_warn
from forkpipe.generation.early import early_check
from forkpipe.generation.selection import select_sets
from forkpipe.generation.strategy_models import strategy_models
from forkpipe.generation.teachers import Asking
from forkpipe.parameters import GenerationSettings, StrategySettings, TraceSetSettings, VerificationSettings
from forkpipe.pipelines.implementations import clusterer_of, engines_of, verifiers_of
from forkpipe.stores.tables import Batches
from forkpipe.stores.trace_store import TraceStore
from forkpipe.strategies.grouping import cluster_all
from forkpipe.strategies.linkage import far_apart
from forkpipe.strategies.registry import create_clusterer
from forkpipe.verification.rows import verify_responses
from kedro_provenance.recipes import implementations

Row = dict[str, Any]


@implementations(engines_of)
def generate_traces(
    problems: Any, store: TraceStore, settings: GenerationSettings, verification: VerificationSettings
) -> tuple[Batches, dict[str, Any]]:
    """Return (the attempt that counts of every teacher at every request, what each teacher's requests came to).

    What the store holds is not asked again. Teachers at servers are asked side by side. A run that has reached a limit
    ends here, or goes on with what there is if `limits.partial` says so.
    """
    chosen = [Problem.from_row(row) for row in problems.to_pylist() if row["split"] in settings.splits]
    if not chosen:
        raise InputError(f"no problem is in generation.splits {settings.splits}, expected at least one")
    engines = create_engines(settings.asked)
    budget = Budget(settings.limits)
    with store, early_check(settings.early_stop, verification, chosen) as check:
        came = Asking(chosen, settings.asked, engines, store, budget, check).ask()
        outcomes = {name: outcome for name, (_, outcome) in came.items()}
        stop_or_warn(outcomes, settings.limits)
        return collect(store, {name: plans for name, (plans, _) in came.items()}, settings.asked, outcomes)


@implementations(verifiers_of)
def verify_traces(traces: Any, problems: Any, settings: VerificationSettings) -> list[Row]:
    """Return a verdict for every trace."""
    rows = traces.select(["trace_id", "problem_id", "text", "status", "finish_reason"]).to_pylist()
    progress = Progress("verify traces", len(rows), unit="traces")
    verdicts = verify_responses(rows, problems.to_pylist(), settings, progress)
    counts = Counter(verdict["verdict"] for verdict in verdicts)
    logger.info("verified %d traces: %s", len(rows), ", ".join(f"{n} {name}" for name, n in counts.most_common()))
    return [{"trace_id": row["trace_id"], **verdict} for row, verdict in zip(rows, verdicts, strict=True)]


@implementations(clusterer_of)
def cluster_strategies(
    traces: Any, verdicts: Any, problems: Any, settings: StrategySettings, generation: GenerationSettings
) -> tuple[list[Row], list[Row], dict[str, Any]]:
    """Return (rows of `strategies`, rows of `rejected`, agreement with the strategies that teachers are known to use).

    Only correct traces are clustered; of traces equal up to white space the first is kept.
    """
    clusterer = create_clusterer(settings)
    texts = {row["problem_id"]: row["problem"] for row in problems.to_pylist()}
    verdict_of = {row["trace_id"]: row for row in verdicts.to_pylist()}
    correct: dict[str, list[Row]] = defaultdict(list)
    rejected: list[Row] = []
    seen: dict[tuple[str, str], str] = {}
    for row in traces.to_pylist():
        verdict = verdict_of[row["trace_id"]]
        key = (row["problem_id"], " ".join(_marked(row).split()))
        if verdict["verdict"] != "correct":
            detail = row["error"] or f"{row['teacher']} gave '{verdict['extracted']}'"
            rejected.append(_rejected(row, f"verdict {verdict['verdict']}", detail))
        elif key in seen:
            rejected.append(_rejected(row, "exact duplicate", f"of trace {seen[key]}"))
        else:
            seen[key] = row["trace_id"]
            correct[row["problem_id"]].append(row)
    rows: list[Row] = []
    progress = Progress("cluster strategies", len(correct), unit="problems")
    groups = ((texts[problem_id], [_marked(row) for row in group]) for problem_id, group in correct.items())
    with strategy_models(settings) as (summaries, judging):
        found = cluster_all(clusterer, groups, summaries, judging)
        for done, ((problem_id, group), (clusters, distances)) in enumerate(
            zip(correct.items(), found, strict=True), 1
        ):
            # Clusters may be near one another though each is within the threshold: then one stands for both.
            apart_enough = (
                range(len(clusters.representatives))
                if distances is None
                else far_apart(distances, clusters.representatives, clusterer.threshold)  # type: ignore[attr-defined]
            )
            for position, row in enumerate(group):
                strategy = clusters.labels[position]
                apart = None if distances is None else distances[position, clusters.representatives].tolist()
                rows.append(
                    {
                        "trace_id": row["trace_id"],
                        "problem_id": problem_id,
                        "strategy": strategy,
                        "representative": clusters.representatives[strategy] == position and strategy in apart_enough,
                        "distance": clusters.distances[position],
                        "distances": apart,
                    }
                )
            progress.update(done)
    agreement = _agreement(rows, correct, generation)
    _log_clusters(rows, rejected, agreement)
    return rows, rejected, agreement


def _marked(trace: Row) -> str:
    """Return a trace with its reasoning marked as such, where the engine gave it apart."""
    return f"<think>{trace['reasoning']}</think>{trace['text']}" if trace["reasoning"] else str(trace["text"])


def _log_clusters(rows: list[Row], rejected: list[Row], agreement: dict[str, Any]) -> None:
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


def _rejected(trace: Row, reason: str, detail: str) -> Row:
    return {"stage": "traces", "id": trace["trace_id"], "reason": reason, "detail": detail}


def _agreement(rows: list[Row], correct: dict[str, list[Row]], generation: GenerationSettings) -> dict[str, Any]:
    """Compare clusters with the strategies that teachers are known to use, per problem, averaged over problems."""
    known = {name: teacher.strategy for name, teacher in generation.asked.items() if teacher.strategy}
    teacher_of = {row["trace_id"]: row["teacher"] for group in correct.values() for row in group}
    pairs: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for row in rows:
        strategy = known.get(teacher_of[row["trace_id"]])
        if strategy is not None:
            pairs[row["problem_id"]].append((strategy, row["strategy"]))
    scores = [
        clustering_agreement([true for true, _ in group], [found for _, found in group])
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


def build_trace_sets(
    problems: Any, traces: Any, strategies: Any, settings: TraceSetSettings, generation: GenerationSettings, seed: int
) -> tuple[list[Row], list[Row]]:
    """Return (rows of `trace_sets`, rows of `rejected`)."""
    asked = [row for row in problems.to_pylist() if row["split"] in generation.splits]
    sets, rejected = select_sets(asked, traces.to_pylist(), strategies.to_pylist(), settings, seed)
    sizes = Counter(len(row["traces"]) for row in sets)
    logger.log(
        logging.INFO if sets else logging.WARNING,
        "%d trace sets (%s); %d problems have too few strategies",
        len(sets), ", ".join(f"{n} of {size} traces" for size, n in sorted(sizes.items())), len(rejected),
    )  # fmt: skip
    return sets, rejected


def collect_rejected(*parts: Any) -> list[Row]:
    """Return what all stages rejected, in one table."""
    return [row for part in parts for row in part.to_pylist()]
