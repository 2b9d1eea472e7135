"""Counts trace sets, and compares how many each way of selecting them gives."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from forkpipe.core.rows import TraceSetRow
from forkpipe.parameters import TraceSetSettings


class SetTotals:
    """Counts trace sets as they come."""

    def __init__(self) -> None:
        self._traces: Counter[int] = Counter()
        self._strategies: Counter[int] = Counter()

    def add(self, sets: Iterable[TraceSetRow]) -> None:
        """Count more sets."""
        for row in sets:
            self._traces[len(row["traces"])] += 1
            self._strategies[row["strategies"] or 0] += 1

    def row(self) -> dict[str, Any]:
        """Return sets, traces, and how many sets hold 1, 2, ... traces and strategies: `of_traces`, `of_strategies`."""
        return {
            "sets": self._traces.total(),
            "traces": sum(size * n for size, n in self._traces.items()),
            "of_traces": _sizes(self._traces),
            "of_strategies": _sizes(self._strategies),
        }


def other_rule(settings: TraceSetSettings) -> TraceSetSettings:
    """Return the settings of the selection that sets are compared with: by strategy if they are by teacher, or else.

    How many sets there are by strategy does not depend on which representatives are taken, and drawing needs no
    distances.
    """
    by_teacher = settings.select == "teachers"
    return settings.model_copy(
        update={"select": "drawn" if by_teacher else "teachers", "max_traces": max(settings.max_traces, 2)}
    )


def compared(settings: TraceSetSettings, problems: int, used: SetTotals, other: SetTotals) -> dict[str, Any]:
    """Return the row of `trace_set_totals`: what the sets come to, and what those of the other rule would come to.

    Args:
        settings: by which the sets were selected.
        problems: how many problems were asked.
        used: totals of the sets.
        other: totals of the sets by `other_rule`.

    Returns:
        select (the selection that was used), problems, and the totals of sets "by_teacher" and "by_strategy".
    """
    teachers, strategies = (used, other) if settings.select == "teachers" else (other, used)
    return {
        "select": settings.select,
        "problems": problems,
        "by_teacher": teachers.row(),
        "by_strategy": strategies.row(),
    }


def _sizes(numbers: Counter[int]) -> dict[str, int]:
    return {str(size): n for size, n in sorted(numbers.items())}


def described(counted: Mapping[str, Any]) -> str:
    """Return the totals in words.

    >>> described({"sets": 3, "traces": 8, "of_traces": {"2": 1, "3": 2}, "of_strategies": {"1": 3}})
    '3 sets (1 of 2 traces, 2 of 3) with 8 traces; 3 of 1 strategy'
    """
    if not counted["sets"]:
        return "0 sets"
    sizes = _listed(counted["of_traces"], "trace")
    return f"{counted['sets']} sets ({sizes}) with {counted['traces']} traces; " + _listed(
        counted["of_strategies"], "strategy"
    )


def _listed(sizes: Mapping[str, int], unit: str) -> str:
    plural = {"trace": "traces", "strategy": "strategies"}[unit]
    parts = [f"{n} of {size}" for size, n in sizes.items()]
    first = next(iter(sizes))
    return ", ".join([f"{parts[0]} {unit if first == '1' else plural}", *parts[1:]])


def of_both(given: Mapping[str, Any]) -> str:
    """Return what the selection gave, and what the other rule would give.

    Args:
        given: what `compared` returns.
    """
    used = given["by_teacher" if given["select"] == "teachers" else "by_strategy"]
    return f"select {given['select']} gave {described(used)}; {other_of(given)}"


def other_of(given: Mapping[str, Any]) -> str:
    """Return a sentence on the rule that was not used.

    Args:
        given: what `compared` returns.
    """
    if given["select"] == "teachers":
        return f"by strategy (trace_sets.select divergent) there would be {described(given['by_strategy'])}"
    return f"by teacher (trace_sets.select teachers) there would be {described(given['by_teacher'])}"
