r"""How far two traces of one problem are apart in approach, 0 to 1.

What one trace does and the other does not is counted in both directions, and the smaller of the two counts: a trace
that
only says more (detail, checks, a longer exploration) takes the same way as the shorter one, while two ways to solve a
problem each hold something that the other lacks. Five such asymmetric measures are added with weights fitted to
labelled pairs (benchmarks/strategies).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from forkpipe.strategies.objects import objects
from forkpipe.strategies.steps import Given, Step
from forkpipe.strategies.vocabulary import COMMON_TECHNIQUES


class Traits(NamedTuple):
    """A trace as the distance sees it."""

    steps: tuple[frozenset[tuple[str, str]], ...]
    """The (kind, fact) of every step; a fact stands in one step only."""
    techniques: frozenset[str]
    equations: frozenset[str]
    values: frozenset[str]
    objects: frozenset[str]


def traits_of(steps: Sequence[Step], given: Given) -> Traits:
    """Return what the distance looks at."""
    return Traits(
        steps=tuple(
            frozenset(
                [("technique", name) for name in step.techniques]
                + [("equation", form) for form in step.equations]
                + [("computation", form) for form in step.computations]
                + [("value", value) for value in step.values]
            )
            for step in steps
        ),
        techniques=_union(step.techniques for step in steps),
        equations=_union(step.equations for step in steps),
        values=_union(step.values for step in steps),
        objects=frozenset(objects(" ".join(step.text for step in steps))) - given.objects,
    )


def _union(parts: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*parts)


class Components(NamedTuple):
    """The measures of which a distance is made; each is 0 for identical traces."""

    techniques: float
    """Log weight of the techniques that only one of them names."""
    objects: float
    """Log number of the words that only one of them uses."""
    alignment: float
    """Share of a trace's steps, by weight, that has no counterpart among the steps of the other."""
    values: float
    """Share of the intermediate values that the other does not reach."""
    equations: float
    """Share of the equations that the other does not hold."""


def components(a: Traits, b: Traits) -> Components:
    """Compare two traces."""
    return Components(
        techniques=_exclusive(a.techniques, b.techniques, technique_weight),
        objects=_exclusive(a.objects, b.objects, lambda _: 1.0),
        alignment=min(_unaligned(a, b), _unaligned(b, a)),
        values=_missing(a.values, b.values),
        equations=_missing(a.equations, b.equations),
    )


def technique_weight(name: str) -> float:
    """Return how much a technique tells: those that are in many solutions of any kind less."""
    return 0.6 if name in COMMON_TECHNIQUES else 1.4


def value_weight(value: str) -> float:
    """Return how much a value tells: one digit is mostly a count or an index."""
    return 1.0 if "/" in value else {1: 0.35, 2: 0.75}.get(len(value), 1.0)


def _fact_weight(fact: tuple[str, str]) -> float:
    kind, what = fact
    match kind:
        case "technique":
            return 2 * technique_weight(what)
        case "value":
            return value_weight(what)
    return 1.5 if kind == "equation" else 0.7


def _exclusive(a: frozenset[str], b: frozenset[str], weight: Callable[[str], float]) -> float:
    return math.log1p(min(math.fsum(map(weight, a - b)), math.fsum(map(weight, b - a))))


def _missing(a: frozenset[str], b: frozenset[str]) -> float:
    """Return the share of the smaller set that the other lacks; one half where only one side has any."""
    if not a or not b:
        return 0.5 if a or b else 0.0
    return 1 - len(a & b) / min(len(a), len(b))


def _unaligned(a: Traits, b: Traits) -> float:
    """Align every step of `a` with its best counterpart in `b`, in any order; return the share without one."""
    where = {fact: position for position, step in enumerate(b.steps) for fact in step}
    weights = [math.fsum(map(_fact_weight, step)) for step in b.steps]
    total = matched = 0.0
    for step in a.steps:
        weight = math.fsum(map(_fact_weight, step))
        shared: dict[int, list[float]] = {}
        for fact in step:
            if fact in where:
                shared.setdefault(where[fact], []).append(_fact_weight(fact))
        # A step that says the same in more detail is a full counterpart.
        matched += weight * max((math.fsum(both) / min(weight, weights[at]) for at, both in shared.items()), default=0)
        total += weight
    return 1 - matched / total if total else (0.5 if b.steps else 0.0)


WEIGHTS = Components(techniques=0.9, objects=1.1, alignment=1.9, values=1.5, equations=0.4)
"""Of a logistic regression on the tuning pairs, rounded."""

HALF = 4.1
"""The weighted sum at which a distance is one half; so scaled that the threshold stands at .55 as in bare notation."""


def distance(a: Traits, b: Traits) -> float:
    """Return how far two traces are apart, 0 (nothing tells them apart) to 1 (exclusive)."""
    total = math.fsum(weight * part for weight, part in zip(WEIGHTS, components(a, b), strict=True))
    return total / (total + HALF)
