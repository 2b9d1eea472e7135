"""Selects trace sets: at most M traces for each problem, one of each teacher or one of each strategy."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.ids import content_hash
from forkpipe.core.responses import canonical
from forkpipe.core.rows import ProblemRow, RejectedRow, StrategyRow, TraceRow, TraceSetRow
from forkpipe.generation.filters import left_out, rejected_row
from forkpipe.generation.one_a_teacher import distances_between, one_a_teacher
from forkpipe.models.student import Student, student_of
from forkpipe.parameters import ModelSettings, TraceSetSettings


def select_sets(
    problems: Sequence[ProblemRow],
    traces: Sequence[TraceRow],
    strategies: Sequence[StrategyRow],
    settings: TraceSetSettings,
    seed: int,
    student: Student | None = None,
) -> tuple[list[TraceSetRow], list[RejectedRow]]:
    """Return (rows of `trace_sets`, rows of `rejected`).

    Args:
        problems: the problems that teachers were asked.
        seed: seed of the draws. They sort by a hash of seed and trace, so they favour no teacher and no order of rows.
        student: the model that will be trained, for `max_tokens` and special tokens; None is one from scratch.

    With select "teachers" a problem gives a set if two teachers solved it; with any other selection, if it has at least
    `min_strategies` strategies.

    Raises:
        InputError: the selection is "divergent", but the clusterer measures no distances.
    """
    student = student_of(ModelSettings()) if student is None else student
    by_id = {row["trace_id"]: row for row in traces}
    correct: dict[str, list[StrategyRow]] = defaultdict(list)
    for row in strategies:
        correct[row["problem_id"]].append(row)
    sets: list[TraceSetRow] = []
    rejected: list[RejectedRow] = []
    for problem in problems:
        problem_id = problem["problem_id"]
        order = sorted(
            (row["trace_id"] for row in correct[problem_id]), key=lambda name: content_hash("draw", seed, name)
        )
        ordered = [by_id[name] for name in order]
        dropped = left_out(ordered, [whole_text(trace) for trace in ordered], settings, student)
        rejected += [dropped[row["trace_id"]] for row in correct[problem_id] if row["trace_id"] in dropped]
        kept = {row["trace_id"]: row for row in _remaining(correct[problem_id], dropped)}
        drawn = [kept[name] for name in order if name in kept]
        if settings.select == "teachers":
            picked, refused = _by_teacher(problem_id, drawn, correct[problem_id], by_id, settings)
        else:
            picked, refused = _by_strategy(problem_id, drawn, by_id, settings)
        rejected += refused
        if not picked:
            continue
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


def _by_teacher(
    problem_id: str,
    drawn: Sequence[StrategyRow],
    measured: Sequence[StrategyRow],
    by_id: dict[str, TraceRow],
    settings: TraceSetSettings,
) -> tuple[Sequence[StrategyRow], list[RejectedRow]]:
    """Return (the traces of a set, none if no two teachers have one; rows of `rejected`).

    Args:
        measured: all rows of the problem in their order, which their distances refer to.
    """
    traces = [by_id[row["trace_id"]] for row in drawn]
    picked, passed = one_a_teacher(
        drawn,
        [trace["teacher"] for trace in traces],
        [whole_text(trace) for trace in traces],
        distances_between(measured),
        settings.max_traces,
        settings.near_identical,
    )
    refused: list[RejectedRow] = [
        rejected_row(same.trace_id, "near-identical", f"to trace {same.chosen}: {same.similarity:.2f} of their words")
        for same in passed
    ]
    if len(picked) < 2:
        detail = f"{len(picked)} teachers with a trace of their own, 2 needed"
        return [], [*refused, rejected_row(problem_id, "too few teachers", detail)]
    return picked, refused


def _by_strategy(
    problem_id: str, drawn: Sequence[StrategyRow], by_id: dict[str, TraceRow], settings: TraceSetSettings
) -> tuple[Sequence[StrategyRow], list[RejectedRow]]:
    """Return (the traces of a set, none if there are too few strategies; rows of `rejected`)."""
    held = sum(row["representative"] for row in drawn)
    if held < settings.min_strategies:
        detail = f"{held} distinct strategies, {settings.min_strategies} needed"
        return [], [rejected_row(problem_id, "too few strategies", detail)]
    return _CHOICES[settings.select](drawn, by_id, settings.max_traces), []


def _remaining(rows: Sequence[StrategyRow], dropped: Collection[str]) -> list[StrategyRow]:
    """Return the rows whose trace is not dropped; the trace nearest to a dropped representative takes its place."""
    left = [row for row in rows if row["trace_id"] not in dropped]
    for lost in (row for row in rows if row["trace_id"] in dropped and row["representative"]):
        same = [row for row in left if row["strategy"] == lost["strategy"]]
        if same:
            nearest = min(same, key=lambda row: (row["distance"], row["trace_id"]))
            left[left.index(nearest)] = {**nearest, "representative": True}
    return left


def _representatives(drawn: Sequence[StrategyRow]) -> list[StrategyRow]:
    return [row for row in drawn if row["representative"]]


def _divergent(drawn: Sequence[StrategyRow], by_id: dict[str, TraceRow], most: int) -> list[StrategyRow]:
    """Start with the two traces that are furthest apart, then add traces that are furthest from the set.

    Of equal candidates, take the one whose teacher has fewer traces in the set, then the first drawn.
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
        chosen.append(max(rest, key=lambda row: (min(apart(row, other) for other in chosen), -used[teacher(row)])))
    return chosen


def _longest(drawn: Sequence[StrategyRow], by_id: dict[str, TraceRow], most: int) -> list[StrategyRow]:
    return sorted(drawn, key=lambda row: -len(whole_text(by_id[row["trace_id"]])))[:most]


_CHOICES: dict[str, Callable[[Sequence[StrategyRow], dict[str, TraceRow], int], list[StrategyRow]]] = {
    "divergent": _divergent,
    "drawn": lambda drawn, _, most: _representatives(drawn)[:most],
    "random": lambda drawn, _, most: list(drawn[:most]),
    "longest": _longest,
}


def whole_text(trace: TraceRow | Mapping[str, Any]) -> str:
    """Return the text that a student learns to write after its tag, in the same form for every teacher."""
    return canonical(trace["text"], trace["reasoning"])
