r"""How far two traces of one problem are apart in approach, 0 to 1: the probability that a reader calls them different.

What only one of two traces does is counted in both directions, and the smaller of the two counts: a trace that only
says more (detail, checks, a longer exploration) takes the same way as the shorter one, while two ways to solve a
problem each hold something that the other lacks. What both do counts against it, so that short solutions, which hold
little of either, are judged as long ones are. A logistic regression on labelled pairs weighs the counts
(benchmarks/strategies/fit.py).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from forkpipe.strategies.objects import object_weight, objects
from forkpipe.strategies.reading import count_values
from forkpipe.strategies.steps import TRIVIAL, Given, Step
from forkpipe.strategies.vocabulary import COMMON_TECHNIQUES


class Traits(NamedTuple):
    """A trace as the distance sees it, without what the problem says."""

    steps: tuple[frozenset[tuple[str, str]], ...]
    """The (kind, fact) of every step; a fact stands in one step only."""
    techniques: frozenset[str]
    equations: frozenset[str]
    values: frozenset[str]
    """Those that a formula comes to."""
    numbers: frozenset[str]
    """Those that are written anywhere."""
    objects: frozenset[str]


def traits_of(steps: Sequence[Step], given: Given) -> Traits:
    """Return what the distance looks at."""
    text = " ".join(step.text for step in steps)
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
        numbers=frozenset(count_values(text)) - given.values - TRIVIAL,
        objects=frozenset(objects(text)) - given.objects,
    )


def _union(parts: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*parts)


class Components(NamedTuple):
    """The measures of which a distance is made; log means log(1 + weight)."""

    techniques: float
    """Log weight of the techniques that only one names."""
    objects: float
    """Log weight of the words that only one uses."""
    values: float
    """Log weight of the intermediate values that only one reaches."""
    alignment: float
    """Share of a trace's steps, by weight, that has no counterpart among the steps of the other."""
    shared_facts: float
    """Log weight of the intermediate values and equations that both hold."""
    shared_numbers: float
    """Log weight of the numbers that both write down."""


def components(a: Traits, b: Traits) -> Components:
    """Compare two traces."""
    return Components(
        techniques=_exclusive(a.techniques, b.techniques, technique_weight),
        objects=_exclusive(a.objects, b.objects, object_weight),
        values=_exclusive(a.values, b.values, value_weight),
        alignment=min(_unaligned(a, b), _unaligned(b, a)),
        shared_facts=math.log1p(math.fsum(map(value_weight, a.values & b.values)) + len(a.equations & b.equations)),
        shared_numbers=_log_weight(a.numbers & b.numbers, number_weight),
    )


def technique_weight(name: str) -> float:
    """Return how much a technique tells: those that are in many solutions of any kind less."""
    return 0.6 if name in COMMON_TECHNIQUES else 1.4


def value_weight(value: str) -> float:
    """Return how much a value tells: one digit is mostly a count or an index."""
    return 1.0 if "/" in value else {1: 0.35, 2: 0.75}.get(len(value), 1.0)


def number_weight(number: str) -> float:
    """Return how much it tells that both write a number: a long one is no coincidence."""
    return min(len(number), 5) - 0.6


def _fact_weight(fact: tuple[str, str]) -> float:
    kind, what = fact
    match kind:
        case "technique":
            return 2 * technique_weight(what)
        case "value":
            return value_weight(what)
    return 1.5 if kind == "equation" else 0.7


def _exclusive(a: frozenset[str], b: frozenset[str], weight: Callable[[str], float]) -> float:
    return min(_log_weight(a - b, weight), _log_weight(b - a, weight))


def _log_weight(found: Iterable[str], weight: Callable[[str], float]) -> float:
    return math.log1p(math.fsum(map(weight, found)))


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


WEIGHTS = Components(
    techniques=0.88, objects=0.60, values=0.62, alignment=1.51, shared_facts=-0.69, shared_numbers=-0.48
)
BIAS = -3.09
"""Of a logistic regression on 340 labelled pairs, rounded; pairs drawn as those were, 28 % of them different."""


def evidence(found: Components) -> float:
    """Return the log odds that a reader calls two traces different, given that they do not do the same."""
    return BIAS + math.fsum(weight * part for weight, part in zip(WEIGHTS, found, strict=True))


def apartness(found: Components) -> float:
    """Return a factor of the odds, 0 where nothing tells two traces apart, near 1 where something does."""
    only_one = math.fsum(map(math.expm1, (found.techniques, found.objects, found.values, found.alignment)))
    return only_one / (only_one + 1)


def distance(a: Traits, b: Traits) -> float:
    """Return how far two traces are apart, 0 (nothing tells them apart) to 1."""
    found = components(a, b)
    odds = apartness(found) * math.exp(evidence(found))
    return odds / (1 + odds)
