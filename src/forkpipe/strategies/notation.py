r"""Distance between traces in bare notation ("7 sq 15 mul 3"): overlap of operations and of intermediate values.

Such a trace has no sentences and no formulas, only operations and numbers; the order of the numbers shows how they were
computed.
"""

import math
from collections.abc import Mapping, Set
from typing import NamedTuple

from forkpipe.strategies.reading import ANY_TAG, count_values, count_values_produced, split_boxed, split_thinking
from forkpipe.strategies.vocabulary import count_operations

REPEATS_THAT_COUNT = 7
"""Largest number of occurrences that counts: a trace may check its result twenty times."""

THINKING_WEIGHT = 0.25
"""Factor for what occurs only in the thinking, which also contains approaches that were dropped."""

OPERATIONS_WEIGHT = 0.6
"""Two traces that share no operation are then at least .6 apart, two with the same operations at most .4."""

MOST_VALUES = 64
"""Largest number of values that describe a trace, so that a long exploration does not outweigh the solution."""


class Profile(NamedTuple):
    """Weights of the operations and intermediate values of a trace (in bare notation also of pairs of values)."""

    operations: dict[str, float]
    values: dict[str, float]


def profile(problem: str, text: str) -> Profile:
    r"""Return the weights of the operations and intermediate values of a trace.

    A weight is log2(1 + occurrences), with at most `REPEATS_THAT_COUNT` occurrences, times `THINKING_WEIGHT` for what
    occurs only in the thinking. Operations and values of the problem and the values in the final \boxed answer are left
    out, since every solution shares them.

    >>> profile("7 ^ 2 mod 17", r"7 sq 15 \boxed{ 15 }")
    Profile(operations={'sq': 1.0}, values={'7 15': 1.0})
    """
    thinking, solution = split_thinking(text)
    answers = split_boxed(text)[1][-1:]
    known_operations = count_operations(problem).keys()
    known_values = count_values(problem).keys() | {value for answer in answers for value in count_values(answer)}
    operations: dict[str, float] = {}
    values: dict[str, float] = {}
    for part, scale in ((solution, 1.0), (thinking, THINKING_WEIGHT)):
        written = split_boxed(ANY_TAG.sub(" ", part))[0]
        _add(operations, count_operations(written), scale, known_operations)
        _add(values, count_values_produced(written), scale, known_values)
    # The sort is stable: of equal values the one that comes first is kept.
    return Profile(operations, dict(sorted(values.items(), key=lambda item: -item[1])[:MOST_VALUES]))


def _add(weights: dict[str, float], times: Mapping[str, int], scale: float, known: Set[str]) -> None:
    for name, count in times.items():
        if name not in known:
            weight = scale * math.log2(1 + min(count, REPEATS_THAT_COUNT))
            weights[name] = max(weights.get(name, 0.0), weight)


def profile_distance(a: Profile, b: Profile) -> float:
    """Return the weighted Jaccard distances of operations and values, averaged; 0 if nothing tells two apart."""
    operations, values = _jaccard(a.operations, b.operations), _jaccard(a.values, b.values)
    if operations is None or values is None:
        return operations or values or 0.0
    return OPERATIONS_WEIGHT * operations + (1 - OPERATIONS_WEIGHT) * values


def _jaccard(a: Mapping[str, float], b: Mapping[str, float]) -> float | None:
    """Return 1 - sum of minima / sum of maxima, None if both are empty."""
    either = sum(max(a.get(name, 0.0), b.get(name, 0.0)) for name in sorted({*a, *b}))
    return 1 - sum(min(a[name], b[name]) for name in sorted(a.keys() & b.keys())) / either if either else None
