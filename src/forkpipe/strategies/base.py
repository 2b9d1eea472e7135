"""The protocol of strategy clusterers, and the clusters they return."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Clusters:
    """The strategies among n texts, in k clusters.

    `labels` (n) are cluster indices, 0 the largest cluster (ties: the one with the smallest index of a text);
    `representatives` (k) are the indices of the medoids; `distances` (n), 0 to 1, are from each text to the
    representative of its cluster.
    """

    labels: list[int]
    representatives: list[int]
    distances: list[float]


@runtime_checkable
class StrategyClusterer(Protocol):
    """Groups texts that solve one problem by their strategy.

    `version` is declared by hand and raised when the same texts would be grouped differently. A clusterer that also has
    a `threshold` and `distances(problem, texts)`, n x n, 0 to 1, can be helped by a judge and lets a set take the most
    divergent traces.
    """

    name: str
    version: str

    def cluster(self, problem: str, texts: Sequence[str]) -> Clusters:
        """Group the texts; identical texts share a cluster, and the order of the texts only relabels the clusters."""
        ...


class Measured(NamedTuple):
    """The clusters of a problem, and the distances between its texts if the clusterer measures distances."""

    clusters: Clusters
    distances: "NDArray[np.float64] | None"


def has_distances(clusterer: StrategyClusterer) -> bool:
    """Whether a clusterer measures distances between texts."""
    return hasattr(clusterer, "distances") and hasattr(clusterer, "threshold")
