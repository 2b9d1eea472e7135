"""Compare two traces sentence by sentence: each with the most similar sentence of the other, in any order.

A sentence is described by its techniques, equations, values, numbers and words, each with a weight. The similarity of
two sentences is the cosine of their weights. Sentence embeddings in place of these weights did no better
(docs/results/2026-11-23-strategies.md).
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from forkpipe.strategies.objects import object_weight, stems
from forkpipe.strategies.reading import count_values
from forkpipe.strategies.trace_steps import TRIVIAL, Given, Step
from forkpipe.strategies.weights import number_weight, technique_weight, value_weight

GIVEN = 0.1
"""Factor for parts that the problem contains too: every solution has them, yet they say what a sentence is about."""


class Sentence(NamedTuple):
    """The weighted parts of a sentence."""

    weights: Mapping[str, float]
    """Of length 1."""
    length: float
    """That they had: how much the sentence tells."""


def described(sentences: Sequence[Step], given: Given) -> tuple[Sentence, ...]:
    """Return the parts of each sentence; sentences without any are left out."""
    found = []
    for sentence in sentences:
        weights = _weights(sentence, given)
        length = math.sqrt(math.fsum(weight * weight for weight in weights.values()))
        if length:
            found.append(Sentence({what: weight / length for what, weight in weights.items()}, length))
    return tuple(found)


def unaligned(a: Sequence[Sentence], b: Sequence[Sentence]) -> float:
    """Return the mean distance, 0 to 1, from a sentence to the most similar one of the other trace, by its weight.

    The smaller of the two directions: a trace that only says more has no other approach. It is .5 if only one trace has
    sentences, since then nothing is known.
    """
    if not a or not b:
        return 0.5 if a or b else 0.0
    holding: dict[str, list[tuple[int, float]]] = {}
    for at, sentence in enumerate(b):
        for what, weight in sentence.weights.items():
            holding.setdefault(what, []).append((at, weight))
    best_of_a, best_of_b = [0.0] * len(a), [0.0] * len(b)
    for at, sentence in enumerate(a):
        cosines: dict[int, float] = {}
        for what, weight in sentence.weights.items():
            for other, its_weight in holding.get(what, ()):
                cosines[other] = cosines.get(other, 0.0) + weight * its_weight
        for other, cosine in cosines.items():
            best_of_a[at] = max(best_of_a[at], cosine)
            best_of_b[other] = max(best_of_b[other], cosine)
    return max(0.0, 1 - max(_mean(best_of_a, a), _mean(best_of_b, b)))


def _mean(cosines: Sequence[float], of: Sequence[Sentence]) -> float:
    total = math.fsum(sentence.length for sentence in of)
    return math.fsum(cosine * sentence.length for cosine, sentence in zip(cosines, of, strict=True)) / total


def _weights(sentence: Step, given: Given) -> dict[str, float]:
    # A letter in front keeps the names of different kinds apart.
    weights = {f"t {name}": 2 * technique_weight(name) * _by(name in given.techniques) for name in sentence.techniques}
    weights |= {f"e {form}": 3 * _by(form in given.equations) for form in sentence.equations}
    weights |= {f"c {form}": 1.4 for form in sentence.computations}
    weights |= {
        f"v {value}": 2 * value_weight(value) * _by(value in given.values) for value in sentence.values - TRIVIAL
    }
    weights |= {
        f"n {number}": number_weight(number) * _by(number in given.values) for number in count_values(sentence.text)
    }
    for word in stems(sentence.text):
        if weight := object_weight(word):
            weights[f"w {word}"] = weight * _by(word in given.objects)
    return weights


def _by(said: bool) -> float:
    return GIVEN if said else 1.0
