r"""Make clusters from distances by complete linkage with a maximum diameter, and choose their representatives."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forkpipe.strategies.base import Clusters
from forkpipe.strategies.reading import split_boxed

SLACK = 0.05
"""The representative is the shortest text with a boxed answer whose mean distance is within this of the medoid's."""


def reading_order(texts: Sequence[str]) -> list[int]:
    """Return indices sorted by length and text. Linkage breaks ties by position, so the given order must not count."""
    return sorted(range(len(texts)), key=lambda index: (len(texts[index]), texts[index], index))


def link(texts: Sequence[str], distances: NDArray[np.float64], diameter: float) -> Clusters:
    """Group texts so that no two of a group are further apart than `diameter`.

    Args:
        texts: n texts.
        distances: n x n, symmetric, 0 to 1.
        diameter: inclusive.
    """
    order = reading_order(texts)
    ordered = distances[np.ix_(order, order)]
    # Equal texts are neighbours in this order. Only the first of them is linked, or ties could separate them.
    firsts = [at for at, index in enumerate(order) if not at or texts[index] != texts[order[at - 1]]]
    ends = [*firsts[1:], len(order)]
    groups = [
        [position for at in group for position in range(firsts[at], ends[at])]
        for group in _complete_linkage(ordered[np.ix_(firsts, firsts)], diameter)
    ]
    clusters = sorted(([order[position] for position in group], group) for group in groups)
    clusters.sort(key=lambda cluster: (-len(cluster[0]), min(cluster[0])))
    labels, to_representative, representatives = [0] * len(texts), [0.0] * len(texts), []
    for label, (members, group) in enumerate(clusters):
        chosen = group[_representative([texts[index] for index in members], ordered[np.ix_(group, group)])]
        representatives.append(order[chosen])
        for position in group:
            labels[order[position]] = label
            to_representative[order[position]] = float(ordered[position, chosen])
    return Clusters(labels, representatives, to_representative)


def far_apart(distances: NDArray[np.float64], representatives: Sequence[int], threshold: float) -> list[int]:
    """Return clusters whose representatives are all further apart than a threshold; earlier clusters go first.

    Complete linkage bounds the distances within a cluster; representatives of two clusters can still be close.
    """
    kept: list[int] = []
    for label, at in enumerate(representatives):
        if all(distances[at, representatives[other]] > threshold for other in kept):
            kept.append(label)
    return kept


def _representative(texts: Sequence[str], inside: NDArray[np.float64]) -> int:
    """Return the position of the text that represents a group; the texts are sorted by length."""
    mean = inside.mean(axis=1)
    central = [position for position in range(len(texts)) if mean[position] <= mean.min() + SLACK + 1e-12]
    complete = [position for position in central if split_boxed(texts[position])[1]]
    return (complete or central)[0]


def _complete_linkage(distances: NDArray[np.float64], diameter: float) -> list[list[int]]:
    """Return the groups, each a sorted list of positions, of complete linkage cut at a diameter (inclusive)."""
    if len(distances) < 2:
        return [[position] for position in range(len(distances))]
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    flat: Any = fcluster(linkage(squareform(distances, checks=False), "complete"), diameter, "distance")
    groups: dict[int, list[int]] = {}
    for position, label in enumerate(flat):
        groups.setdefault(int(label), []).append(position)
    return list(groups.values())
