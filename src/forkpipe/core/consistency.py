"""A prior on tags that a training learns from its own matchings, without labels: like traces get like tags.

The set loss does not change if the tags of one problem change places, so costs alone need not give a mode the same tag
in all problems. The prior counts which features of traces are under which tag so far, and makes a tag cheaper for a
trace with such features. It is a naive Bayes model (multinomial, add-a smoothing) of the features of a tag.
"""

import itertools
from collections.abc import Collection, Hashable, Iterable, Sequence

import numpy as np

from forkpipe.core.matching import Costs

SMOOTHING = 0.1
"""a, added to every count."""


def ngrams(tokens: Sequence[int]) -> set[tuple[int, ...]]:
    """Return the distinct tokens and pairs of neighbouring tokens.

    >>> sorted(ngrams([1, 2, 1]))
    [(1,), (1, 2), (2,), (2, 1)]
    """
    return {(token,) for token in tokens} | set(itertools.pairwise(tokens))


class ConsistencyPrior:
    """Counts of features under each tag, with every trace of a problem counted under its present tag.

    Features that all traces of a problem share say nothing of their tags and do not count for that problem.

    Args:
        features: for each problem the features of each of its M traces.
        n_tags: N.
    """

    def __init__(self, features: Iterable[Sequence[Collection[Hashable]]], n_tags: int) -> None:
        numbers: dict[Hashable, int] = {}
        self._features = [
            [
                np.array([numbers.setdefault(feature, len(numbers)) for feature in own], dtype=np.int64)
                for own in distinct(traces)
            ]
            for traces in features
        ]
        self._counts = np.zeros((n_tags, len(numbers)))
        self._totals = np.zeros(n_tags)
        self._placed: dict[int, list[int]] = {}

    def costs(self, problem: int) -> Costs:
        """Return (N, M) the costs of each trace of a problem under each tag, nats a feature; 0 for a trace without any.

        The mean over the trace's features f of -log((n[i, f] + a) / (sum over f of n[i, f] + a V)), where n[i, f] is
        the number of traces with f under tag i, without those of this problem, and V the number of features that count
        for some problem.
        """
        own = self._placed.get(problem, [])
        self._count(problem, own, -1.0)
        smoothed = SMOOTHING * self._counts.shape[1]
        result = np.zeros((len(self._totals), len(self._features[problem])))
        for trace, features in enumerate(self._features[problem]):
            if features.size:
                seen = np.log(self._counts[:, features] + SMOOTHING).mean(axis=1)
                result[:, trace] = np.log(self._totals + smoothed) - seen
        self._count(problem, own, 1.0)
        return result

    def place(self, problem: int, tags: Sequence[int]) -> None:
        """Count the traces of a problem under these tags, and no longer under those before."""
        self._count(problem, self._placed.get(problem, []), -1.0)
        self._placed[problem] = list(tags)
        self._count(problem, tags, 1.0)

    def _count(self, problem: int, tags: Sequence[int], times: float) -> None:
        for tag, features in zip(tags, self._features[problem], strict=False):
            self._counts[tag, features] += times
            self._totals[tag] += times * features.size


def distinct(traces: Sequence[Collection[Hashable]]) -> list[list[Hashable]]:
    """Return the features of each trace that not all traces share, sorted.

    >>> distinct([{"a", "b"}, {"a", "c"}])
    [['b'], ['c']]
    """
    shared = set(traces[0]).intersection(*traces[1:]) if traces else set()
    return [sorted(set(own) - shared) for own in traces]  # type: ignore[type-var] # the order of a set of texts varies
