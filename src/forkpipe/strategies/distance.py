r"""The distance between the approaches of two traces: the probability, 0 to 1, that a reader calls them different.

Each measure counts what trace a does and trace b does not, and the reverse, and takes the smaller: a trace that only
says more (details, checks, a longer exploration) has the same approach as the shorter one, while two approaches each
contain something that the other lacks. What both traces do lowers the distance. The weights of the measures come from
a logistic regression on labelled pairs and on generated pairs of short solutions (benchmarks/strategies/fit.py).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from forkpipe.strategies.alignment import Sentence, described, unaligned
from forkpipe.strategies.reading import count_values
from forkpipe.strategies.trace_steps import TRIVIAL, Given, Step
from forkpipe.strategies.weights import number_weight, technique_weight, value_weight


class Traits(NamedTuple):
    """The parts of a trace that the distance compares."""

    sentences: tuple[Sentence, ...]
    techniques: frozenset[str]
    """Techniques, equations and values are those of the steps, without what the problem states."""
    equations: frozenset[str]
    values: frozenset[str]
    """Results of formulas."""
    numbers: frozenset[str]
    """All numbers in the trace, without those of the problem."""


def traits_of(sentences: Sequence[Step], steps: Sequence[Step], given: Given) -> Traits:
    """Return the parts that the distance compares; see `trace_steps.sentences_of` and `trace_steps.steps_of`."""
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
    """The measures that make up a distance; "log weight" is log(1 + weight)."""

    techniques: float
    """Log weight of the techniques that only one trace names."""
    values: float
    """Log weight of the intermediate values that only one trace reaches."""
    alignment: float
    """Mean distance from a sentence to the most similar sentence of the other trace."""
    nothing_shared: float
    """1 if the traces share no intermediate value and no equation; falls to 0 with the weight of those they share."""
    shared_numbers: float
    """Log weight of the numbers that both traces contain."""


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
"""From a logistic regression on 531 labelled pairs, 28 % of them different; rounded."""


def evidence(found: Components) -> float:
    """Return the log odds that a reader calls two traces different, given that something tells them apart."""
    return BIAS + math.fsum(weight * part for weight, part in zip(WEIGHTS, found, strict=True))


def apartness(found: Components) -> float:
    """Return a factor for the odds: 0 if nothing tells two traces apart, near 1 if something does."""
    only_one = math.fsum(map(math.expm1, (found.techniques, found.values, found.alignment)))
    return only_one / (only_one + 1)


def distance(a: Traits, b: Traits) -> float:
    """Return the distance between two traces, 0 (nothing tells them apart) to 1."""
    found = components(a, b)
    odds = apartness(found) * math.exp(evidence(found))
    return odds / (1 + odds)
