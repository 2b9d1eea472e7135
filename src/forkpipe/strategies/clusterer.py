r"""Group the correct traces of one problem by how they solve it, not by their wording.

A trace is split into sentences, each described by the techniques it names, its equations in canonical form, the values
it reaches and its rarer words. The distance between two traces follows from what they share and what only one of them
does; no model is asked. Shared words alone say little about the approach, and sentence embeddings did about as well as
this distance without showing why (docs/results/2026-11-23-strategies.md).
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forkpipe.core.errors import InputError
from forkpipe.strategies.alignment import Sentence
from forkpipe.strategies.base import Clusters
from forkpipe.strategies.distance import Traits, distance, traits_of
from forkpipe.strategies.linkage import link
from forkpipe.strategies.notation import Profile, profile, profile_distance
from forkpipe.strategies.sentences import solution_of
from forkpipe.strategies.trace_steps import Given, given_by, sentences_of, steps_of
from forkpipe.strategies.vocabulary import is_prose

THRESHOLD = 0.3
"""Largest distance of traces with the same strategy; F1 on held-out pairs is flat around it.

It is less than one half because different pairs are rare: to miss few of them, some false ones have to be accepted
(docs/results/2026-11-23-strategies.md).
"""

BARE_THRESHOLD = 0.55
"""Distance of profiles (bare notation) that corresponds to `THRESHOLD`."""


class Reading(NamedTuple):
    """The parts of a trace that distances compare."""

    bare: bool
    profile: Profile
    traits: Traits


class StepClusterer:
    """Groups traces with similar steps, by complete linkage with a maximum diameter.

    Bare notation ("7 sq 15 mul 3", no sentence and no equation) is compared by operations and values instead.

    Args:
        threshold: largest distance between any two traces of a cluster, 0 to 1.

    >>> StepClusterer().cluster("2 ^ 6 mod 17", ["2 sq 4 mul 8 sq 13", "log 14 rem 6 prod 4", "2 sq 4 mul 8 sq 13"])
    Clusters(labels=[0, 1, 0], representatives=[0, 1], distances=[0.0, 0.0, 0.0])
    """

    name = "steps"
    version = "4"

    def __init__(self, threshold: float = THRESHOLD) -> None:
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
            raise InputError(f"strategy clusterer 'steps': threshold is {threshold!r}, expected a number from 0 to 1")
        self.threshold = float(threshold)

    def cluster(self, problem: str, texts: Sequence[str]) -> Clusters:
        """Group the texts by strategy; linear in their lengths, quadratic in their number."""
        return link(texts, self.distances(problem, texts), self.threshold)

    def distances(self, problem: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the n x n distances between texts, 0 (nothing tells them apart) to 1."""
        readings = [self.read(problem, text) for text in texts]
        between = np.zeros((len(texts), len(texts)))
        for i, a in enumerate(readings):
            for j, b in enumerate(readings[:i]):
                between[i, j] = between[j, i] = self.apart(a, b)
        return between

    def read(self, problem: str, text: str) -> Reading:
        """Return what distances compare of a text; this takes most of the time."""
        given = _given_by(problem)
        bare = "=" not in text and not is_prose(solution_of(text))
        sentences = sentences_of(text, given)
        return Reading(
            bare,
            profile(problem, text) if bare else Profile({}, {}),
            traits_of(sentences, steps_of(problem, text, given, sentences), given),
        )

    def apart(self, a: Reading, b: Reading) -> float:
        """Return the distance between two texts of a problem, 0 to 1."""
        between = _bare_distance(a.profile, b.profile) if a.bare and b.bare else distance(a.traits, b.traits)
        # Whether a distance is at the threshold must not depend on its last bit.
        return round(between, 12)

    def packed(self, reading: Reading) -> list[Any]:
        """Return a reading as JSON can hold it, from which `unpacked` makes it again."""
        sentences, *sets = reading.traits
        return [
            reading.bare,
            list(reading.profile),
            [list(sentence) for sentence in sentences],
            list(map(sorted, sets)),
        ]

    def unpacked(self, packed: Sequence[Any]) -> Reading:
        """Return a reading from what `packed` has made of it."""
        bare, profiled, sentences, sets = packed
        return Reading(
            bare,
            Profile(*profiled),
            Traits(tuple(Sentence(*sentence) for sentence in sentences), *map(frozenset, sets)),
        )


@lru_cache(maxsize=8)
def _given_by(problem: str) -> Given:
    return given_by(problem)


def _bare_distance(a: Profile, b: Profile) -> float:
    """Return the distance of two profiles on the scale of `distance`, so that one threshold serves both."""
    return float(profile_distance(a, b) ** (math.log(THRESHOLD) / math.log(BARE_THRESHOLD)))
