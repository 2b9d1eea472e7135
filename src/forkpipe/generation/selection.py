"""Which traces make a set: at most M a problem, by default representatives of the most divergent strategies."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from forkpipe.core.errors import InputError
from forkpipe.core.ids import content_hash
from forkpipe.core.rows import ProblemRow, RejectedRow, StrategyRow, TraceRow, TraceSetRow
from forkpipe.parameters import TraceSetSettings


def select_sets(
    problems: Sequence[ProblemRow],
    traces: Sequence[TraceRow],
    strategies: Sequence[StrategyRow],
    settings: TraceSetSettings,
    seed: int,
) -> tuple[list[TraceSetRow], list[RejectedRow]]:
    """Return (rows of `trace_sets`, rows of `rejected`).

    Args:
        problems: those whose traces were asked for.
        traces: the `traces` table.
        strategies: the `strategies` table.
        settings: see `parameters.TraceSetSettings`.
        seed: of the draws, which go by a hash of seed and trace: they favour no teacher and no order of rows.

    Whatever is selected, only problems with at least `min_strategies` strategies give a set.

    Raises:
        InputError: divergent traces are wanted, but the clusterer measured no distances.
    """
    by_id = {row["trace_id"]: row for row in traces}
    correct: dict[str, list[StrategyRow]] = defaultdict(list)
    for row in strategies:
        correct[row["problem_id"]].append(row)
    sets: list[TraceSetRow] = []
    rejected: list[RejectedRow] = []
    for problem in problems:
        problem_id = problem["problem_id"]
        found = sorted(correct[problem_id], key=lambda row: content_hash("draw", seed, row["trace_id"]))
        held = sum(row["representative"] for row in found)
        if held < settings.min_strategies:
            detail = f"{held} distinct strategies, {settings.min_strategies} needed"
            rejected.append({"stage": "trace_sets", "id": problem_id, "reason": "too few strategies", "detail": detail})
            continue
        picked = _CHOICES[settings.select](found, by_id, settings.max_traces)
        chosen = sorted(picked, key=lambda row: (row["strategy"], row["trace_id"]))
        sets.append(
            {
                "problem_id": problem_id,
                "problem": problem["problem"],
                "answer": problem["answer"],
                "source": problem["source"],
                "split": problem["split"],
                "strategies": len({row["strategy"] for row in chosen}),
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


def _representatives(drawn: Sequence[StrategyRow]) -> list[StrategyRow]:
    return [row for row in drawn if row["representative"]]


def _divergent(drawn: Sequence[StrategyRow], by_id: dict[str, TraceRow], most: int) -> list[StrategyRow]:
    """Begin with the two furthest apart, then add the one whose nearest neighbour in the set is furthest.

    Among equals the one whose teacher has fewer traces in the set comes first, then the first drawn.
    """
    left = _representatives(drawn)
    if len(left) <= most:
        return left
    for row in left:
        if row["distances"] is None:
            raise InputError(
                f"parameter trace_sets.select is 'divergent', but trace {row['trace_id']} has no distances: expected a "
                "clusterer that measures them, or another selection"
            )

    def apart(a: StrategyRow, b: StrategyRow) -> float:
        return (a["distances"] or [])[b["strategy"]]

    def teacher(row: StrategyRow) -> str:
        return by_id[row["trace_id"]]["teacher"]

    pairs = [(a, b) for i, a in enumerate(left) for b in left[:i]]
    # `max` keeps the first of equals.
    first, second = max(pairs, key=lambda pair: (apart(*pair), teacher(pair[0]) != teacher(pair[1])))
    chosen = [first, second][:most]
    while len(chosen) < most:
        used = Counter(map(teacher, chosen))
        rest = [row for row in left if row not in chosen]
        chosen.append(max(rest, key=lambda row: (min(apart(row, one) for one in chosen), -used[teacher(row)])))
    return chosen


def _longest(drawn: Sequence[StrategyRow], by_id: dict[str, TraceRow], most: int) -> list[StrategyRow]:
    return sorted(drawn, key=lambda row: -len(whole_text(by_id[row["trace_id"]])))[:most]


_CHOICES: dict[str, Callable[[Sequence[StrategyRow], dict[str, TraceRow], int], list[StrategyRow]]] = {
    "divergent": _divergent,
    "drawn": lambda drawn, _, most: _representatives(drawn)[:most],
    "random": lambda drawn, _, most: list(drawn[:most]),
    "longest": _longest,
}


def whole_text(trace: TraceRow) -> str:
    """Return what a student learns to write behind its tag: reasoning, where an engine gave it apart, and answer.

    The forking tag stands for the opening of the thinking, so only its end is marked.
    """
    return f"{trace['reasoning']}\n</think>\n{trace['text']}" if trace["reasoning"] else trace["text"]
