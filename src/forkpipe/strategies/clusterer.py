r"""Strategy-level dedup: group the correct traces of one problem by HOW they solve it, not by how they are worded.

Distance in wording (n-grams, sentence embeddings) is nearly blind to the approach of a solution. The default compares
two things that another approach changes and a paraphrase keeps: the operations used and the intermediate values
produced; both are cheap stand-ins for the step summaries of Reasoning Path Divergence (arXiv 2510.26122). No model is
asked, so it misses two approaches that use the same operations on the same values, and it tends to split two write-ups
of one approach of which one explores much more than the other: over pairs of long traces of a problem the distance
correlates with the log ratio of their lengths (about .4).
"""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from forkpipe.core.errors import InputError
from forkpipe.strategies.reading import (
    ANY_TAG,
    count_operations,
    count_values,
    count_values_produced,
    split_boxed,
    split_thinking,
)

REPEATS_THAT_COUNT = 7
"""Log weights saturate here (1 + 7 = 2 ** 3), so that a trace that checks its result twenty times does not drown."""

THINKING_WEIGHT = 0.25
"""What only the thinking holds: the solution says which approach was taken, the thinking also which were dropped."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """The strategies among n texts, in k clusters.

    `labels` (n) are cluster indices, 0 the largest cluster (ties: the one with the smallest index of a text);
    `representatives` (k) are the indices of the medoids; `distances` (n), 0 to 1, are to the own representative.
    """

    labels: list[int]
    representatives: list[int]
    distances: list[float]


@runtime_checkable
class StrategyClusterer(Protocol):
    """Groups texts that solve one problem by their strategy.

    `version` is declared by hand and raised when the same texts would be grouped differently.
    """

    name: str
    version: str

    def cluster(self, problem: str, texts: Sequence[str]) -> Clusters:
        """Group the texts; identical texts share a cluster, and the order of the texts only relabels the clusters."""
        ...


class Profile(NamedTuple):
    """What a trace does: weights by operation, and weights by intermediate value (in bare notation also by pair)."""

    operations: dict[str, float]
    values: dict[str, float]


class StepClusterer:
    """Groups traces whose operations and intermediate values are alike: complete linkage under a maximum diameter.

    With the defaults two traces that share no operation are never taken together (their distance is at least .6), and
    two with the same operations are alike enough whatever values they pass through (at most .4).

    Args:
        threshold: largest distance between any two traces of a cluster, 0 to 1.
        operations_weight: weight of the operations in the distance, the rest is the weight of the values, 0 to 1.
        max_values: how many values describe a trace, those of the greatest weight; keeps a long exploration from
            drowning the values on which the solution rests.

    >>> StepClusterer().cluster("2 ^ 6 mod 17", ["2 sq 4 mul 8 sq 13", "log 14 rem 6 prod 4", "2 sq 4 mul 8 sq 13"])
    Clusters(labels=[0, 1, 0], representatives=[0, 1], distances=[0.0, 0.0, 0.0])
    """

    name = "steps"
    version = "1"

    def __init__(self, threshold: float = 0.55, operations_weight: float = 0.6, max_values: int = 64) -> None:
        for field, share in (("threshold", threshold), ("operations_weight", operations_weight)):
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
                raise InputError(f"strategy clusterer 'steps': {field} is {share!r}, expected a number from 0 to 1")
        if isinstance(max_values, bool) or not isinstance(max_values, int) or max_values < 1:
            raise InputError(f"strategy clusterer 'steps': max_values is {max_values!r}, expected an integer above 0")
        self._threshold = float(threshold)
        self._operations_weight = float(operations_weight)
        self._max_values = max_values

    def cluster(self, problem: str, texts: Sequence[str]) -> Clusters:
        """Group the texts by strategy; linear in their lengths, quadratic in their number."""
        if not texts:
            return Clusters([], [], [])
        # Ties in linkage and medoids are broken by position: sorted by text, the order given cannot matter.
        order = sorted(range(len(texts)), key=lambda index: (len(texts[index]), texts[index], index))
        distances = self.distances(problem, [texts[index] for index in order])
        clusters = sorted(
            ([order[position] for position in group], group) for group in _complete_linkage(distances, self._threshold)
        )
        clusters.sort(key=lambda both: (-len(both[0]), min(both[0])))
        labels, to_representative, representatives = [0] * len(texts), [0.0] * len(texts), []
        for label, (_, group) in enumerate(clusters):
            inside = distances[np.ix_(group, group)]
            medoid = group[int(np.argmin(inside.sum(axis=1).round(12)))]  # the first of equals is the shortest
            representatives.append(order[medoid])
            for position in group:
                labels[order[position]] = label
                to_representative[order[position]] = float(distances[position, medoid])
        return Clusters(labels, representatives, to_representative)

    def distances(self, problem: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the n x n distances between texts, 0 to 1; 0 where nothing tells two texts apart."""
        profiles = [profile(problem, text, self._max_values) for text in texts]
        parts = [
            (self._operations_weight, [one.operations for one in profiles]),
            (1.0 - self._operations_weight, [one.values for one in profiles]),
        ]
        total = np.zeros((len(texts), len(texts)))
        weight_used = np.zeros_like(total)
        for weight, rows in parts:
            distance, known = _weighted_jaccard(rows)
            total += weight * distance * known
            weight_used += weight * known
        distances: NDArray[np.float64] = np.divide(total, weight_used, out=np.zeros_like(total), where=weight_used > 0)
        return distances.round(12)  # a distance at the threshold must not depend on the last bit


def profile(problem: str, text: str, max_values: int) -> Profile:
    r"""Describe a trace by its operations and intermediate values, without what the problem and the answer give away.

    A weight is log2(1 + times), saturating at `REPEATS_THAT_COUNT` times, and `THINKING_WEIGHT` of that for what stands
    in the thinking only. Operations and values named in the problem and the values in the final \boxed answer are left
    out: every solution shares them.

    >>> profile("7 ^ 2 mod 17", r"7 sq 15 \boxed{ 15 }", 64)
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
    return Profile(operations, dict(sorted(values.items(), key=lambda item: -item[1])[:max_values]))


def _add(weights: dict[str, float], times: Mapping[str, int], scale: float, known: Set[str]) -> None:
    for name, count in times.items():
        if name not in known:
            weight = scale * math.log2(1 + min(count, REPEATS_THAT_COUNT))
            weights[name] = max(weights.get(name, 0.0), weight)


def _weighted_jaccard(rows: Sequence[Mapping[str, float]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return n x n distances 1 - sum of minima / sum of maxima, and where they are known: not both rows are empty."""
    columns = {name: index for index, name in enumerate(sorted({name for row in rows for name in row}))}
    matrix = np.zeros((len(rows), len(columns)))
    for index, row in enumerate(rows):
        for name, weight in row.items():
            matrix[index, columns[name]] = weight
    shared = np.array([np.minimum(matrix, row).sum(axis=1) for row in matrix])
    either = np.array([np.maximum(matrix, row).sum(axis=1) for row in matrix])
    known = either > 0
    return 1.0 - np.divide(shared, either, out=np.ones_like(either), where=known), known


def _complete_linkage(distances: NDArray[np.float64], diameter: float) -> list[list[int]]:
    """Return the groups, each a sorted list of positions, of complete linkage cut at a diameter (inclusive)."""
    if len(distances) == 1:
        return [[0]]
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    flat: Any = fcluster(linkage(squareform(distances, checks=False), "complete"), diameter, "distance")
    groups: dict[int, list[int]] = {}
    for position, label in enumerate(flat):
        groups.setdefault(int(label), []).append(position)
    return list(groups.values())
