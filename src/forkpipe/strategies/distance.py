r"""How far two traces of one problem are apart in approach, 0 to 1: the probability that a reader calls them different.

What only one of two traces does is counted in both directions, and the smaller of the two counts: a trace that only
says more (detail, checks, a longer exploration) takes the same way as the shorter one, while two ways to solve a
problem each hold something that the other lacks. What both do counts against it. A logistic regression on labelled
pairs, and on procedural ones of short solutions, weighs the measures (benchmarks/strategies/fit.py).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from forkpipe.strategies.alignment import Sentence, described, unaligned
from forkpipe.strategies.reading import count_values
from forkpipe.strategies.trace_steps import TRIVIAL, Given, Step
from forkpipe.strategies.weights import number_weight, technique_weight, value_weight


class Traits(NamedTuple):
    """A trace as the distance sees it."""

    sentences: tuple[Sentence, ...]
    techniques: frozenset[str]
    """Of its steps: without those of the problem, as equations and values are."""
    equations: frozenset[str]
    values: frozenset[str]
    """Those that a formula comes to."""
    numbers: frozenset[str]
    """Those that are written anywhere, without those of the problem."""


def traits_of(sentences: Sequence[Step], steps: Sequence[Step], given: Given) -> Traits:
    """Return what the distance looks at; see `steps.sentences_of` and `steps.steps_of`."""
    numbers = _union(frozenset(count_values(sentence.text)) for sentence in sentences)
    return Traits(
        sentences=described(sentences, given),
        techniques=_union(step.techniques for step in steps),
        equations=_union(step.equations for step in steps),
        values=_union(step.values for step in steps),
        numbers=numbers - given.values - TRIVIAL,
    )


def _union(parts: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*parts)


class Components(NamedTuple):
    """The measures of which a distance is made; log means log(1 + weight)."""

    techniques: float
    """Log weight of the techniques that only one names."""
    values: float
    """Log weight of the intermediate values that only one reaches."""
    alignment: float
    """Mean distance of a sentence to the most alike of the other trace."""
    nothing_shared: float
    """1 where no intermediate value and no equation is in both, falling to 0 with the weight of those that are."""
    shared_numbers: float
    """Log weight of the numbers that both write down."""


def components(a: Traits, b: Traits) -> Components:
    """Compare two traces."""
    return Components(
        techniques=_exclusive(a.techniques, b.techniques, technique_weight),
        values=_exclusive(a.values, b.values, value_weight),
        alignment=unaligned(a.sentences, b.sentences),
        nothing_shared=1 / (1 + 2 * (_weight(a.values & b.values, value_weight) + len(a.equations & b.equations))),
        shared_numbers=math.log1p(_weight(a.numbers & b.numbers, number_weight)),
    )


def _exclusive(a: frozenset[str], b: frozenset[str], weight: Callable[[str], float]) -> float:
    return math.log1p(min(_weight(only, weight) for only in (a - b, b - a)))


def _weight(found: Iterable[str], weight: Callable[[str], float]) -> float:
    return math.fsum(map(weight, found))


WEIGHTS = Components(techniques=1.16, values=0.61, alignment=3.7, nothing_shared=1.69, shared_numbers=-0.74)
BIAS = -3.72
"""Of a logistic regression on 531 labelled pairs, rounded; pairs drawn as those were, 28 % of them different."""


def evidence(found: Components) -> float:
    """Return the log odds that a reader calls two traces different, given that they do not do the same."""
    return BIAS + math.fsum(weight * part for weight, part in zip(WEIGHTS, found, strict=True))


def apartness(found: Components) -> float:
    """Return a factor of the odds, 0 where nothing tells two traces apart, near 1 where something does."""
    only_one = math.fsum(map(math.expm1, (found.techniques, found.values, found.alignment)))
    return only_one / (only_one + 1)


def distance(a: Traits, b: Traits) -> float:
    """Return how far two traces are apart, 0 (nothing tells them apart) to 1."""
    found = components(a, b)
    odds = apartness(found) * math.exp(evidence(found))
    return odds / (1 + odds)
