"""Counts trace sets, and compares how many each way of selecting them gives."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from forkpipe.core.rows import TraceSetRow
from forkpipe.parameters import TraceSetSettings

Select = Callable[[TraceSetSettings], tuple[list[TraceSetRow], Any]]


def compare_selections(
    sets: Sequence[TraceSetRow], problems: int, settings: TraceSetSettings, select: Select
) -> dict[str, Any]:
    """Return the row of `trace_set_totals`: what the sets come to, and what those of the other rule would come to.

    Args:
        sets: those that were selected by `settings`.
        problems: how many problems were asked.
        select: selects sets under other settings.

    Returns:
        select (the selection that was used), problems, and the totals of sets "by_teacher" and "by_strategy", each as
        `totals` counts them.
    """
    by_teacher = settings.select == "teachers"
    # How many sets there are by strategy does not depend on which representatives are taken, and drawing needs no
    # distances.
    other, _ = select(
        settings.model_copy(
            update={"select": "drawn" if by_teacher else "teachers", "max_traces": max(settings.max_traces, 2)}
        )
    )
    teachers, strategies = (sets, other) if by_teacher else (other, sets)
    return {
        "select": settings.select,
        "problems": problems,
        "by_teacher": totals(teachers),
        "by_strategy": totals(strategies),
    }


def totals(sets: Sequence[TraceSetRow]) -> dict[str, Any]:
    """Return sets, traces, and how many sets hold 1, 2, ... traces (`of_traces`) and strategies (`of_strategies`)."""
    return {
        "sets": len(sets),
        "traces": sum(len(row["traces"]) for row in sets),
        "of_traces": _sizes(len(row["traces"]) for row in sets),
        "of_strategies": _sizes(row["strategies"] or 0 for row in sets),
    }


def _sizes(numbers: Any) -> dict[str, int]:
    return {str(size): n for size, n in sorted(Counter(numbers).items())}


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


def of_both(compared: Mapping[str, Any]) -> str:
    """Return what the selection gave, and what the other rule would give.

    Args:
        compared: what `compare_selections` returns.
    """
    used = compared["by_teacher" if compared["select"] == "teachers" else "by_strategy"]
    return f"select {compared['select']} gave {described(used)}; {other_of(compared)}"


def other_of(compared: Mapping[str, Any]) -> str:
    """Return a sentence on the rule that was not used.

    Args:
        compared: what `compare_selections` returns.
    """
    if compared["select"] == "teachers":
        return f"by strategy (trace_sets.select divergent) there would be {described(compared['by_strategy'])}"
    return f"by teacher (trace_sets.select teachers) there would be {described(compared['by_teacher'])}"
