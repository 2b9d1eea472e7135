"""Which traces make a set: one representative a strategy, at most M a problem."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from forkpipe.core.ids import content_hash
from forkpipe.parameters import TraceSetSettings

Row = dict[str, Any]


def select_sets(
    problems: Sequence[Row], traces: Sequence[Row], strategies: Sequence[Row], settings: TraceSetSettings, seed: int
) -> tuple[list[Row], list[Row]]:
    """Return (rows of `trace_sets`, rows of `rejected`).

    Args:
        problems: those whose traces were asked for.
        traces: the `traces` table.
        strategies: the `strategies` table.
        settings: see `parameters.TraceSetSettings`.
        seed: of the draw.

    Where a problem has more strategies than M, M of them are drawn by a hash of the seed and the trace, so that the
    draw favours no teacher and does not depend on the order of rows.
    """
    by_id = {row["trace_id"]: row for row in traces}
    representatives: dict[str, list[Row]] = defaultdict(list)
    for row in strategies:
        if row["representative"]:
            representatives[row["problem_id"]].append(row)
    sets: list[Row] = []
    rejected: list[Row] = []
    for problem in problems:
        problem_id = problem["problem_id"]
        found = sorted(representatives[problem_id], key=lambda row: content_hash("draw", seed, row["trace_id"]))
        if len(found) < settings.min_strategies:
            detail = f"{len(found)} distinct strategies, {settings.min_strategies} needed"
            rejected.append({"stage": "trace_sets", "id": problem_id, "reason": "too few strategies", "detail": detail})
            continue
        chosen = sorted(found[: settings.max_traces], key=lambda row: row["strategy"])
        columns = ("problem_id", "problem", "answer", "source", "split")
        sets.append(
            {
                **{column: problem[column] for column in columns},
                "traces": [
                    {
                        "trace_id": row["trace_id"],
                        "teacher": by_id[row["trace_id"]]["teacher"],
                        "text": whole_text(by_id[row["trace_id"]]),
                        "strategy": row["strategy"],
                        "tokens": by_id[row["trace_id"]]["tokens_out"],
                    }
                    for row in chosen
                ],
            }
        )
    return sets, rejected


def whole_text(trace: Row) -> str:
    """Return what a student learns to write behind its tag: reasoning, where an engine gave it apart, and answer.

    The forking tag stands for the opening of the thinking, so only its end is marked.
    """
    return f"{trace['reasoning']}\n</think>\n{trace['text']}" if trace["reasoning"] else str(trace["text"])
