"""Cluster the traces of many problems, with the help of a language model if the parameters name one."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from forkpipe.core.errors import InputError
from forkpipe.strategies.asker import Asker
from forkpipe.strategies.base import Clusters, StrategyClusterer
from forkpipe.strategies.linkage import link
from forkpipe.strategies.pair_judge import judge
from forkpipe.strategies.summaries import summarise

CHUNK = 256
"""Problems held at a time."""

Group = tuple[str, Sequence[str]]


class Measured(NamedTuple):
    """The clusters of a problem, and the distances between its texts if the clusterer measures distances."""

    clusters: Clusters
    distances: NDArray[np.float64] | None


class _Measures(Protocol):
    threshold: float

    def distances(self, problem: str, texts: Sequence[str]) -> NDArray[np.float64]: ...


class Judging(NamedTuple):
    """A judge, and the largest distance from the threshold at which it is asked about a pair."""

    asker: Asker
    margin: float


def cluster_all(
    clusterer: StrategyClusterer,
    groups: Iterable[Group],
    summaries: Asker | None = None,
    judging: Judging | None = None,
) -> Iterator[Measured]:
    """Yield the clusters of every problem; `CHUNK` problems are in memory at a time.

    Args:
        summaries: asks a model for the steps of a text; a text without a summary is read as it is.
        judging: decides pairs near the threshold.

    Raises:
        InputError: a model is to summarise or judge, but the clusterer measures no distances.
    """
    if summaries or judging:
        check_measures(clusterer)
    measures = has_distances(clusterer)
    remaining = iter(groups)
    while chunk := list(islice(remaining, CHUNK)):
        if measures:
            yield from _measured(cast(_Measures, clusterer), chunk, summaries, judging)
        else:
            yield from (Measured(clusterer.cluster(problem, texts), None) for problem, texts in chunk)


def check_measures(clusterer: StrategyClusterer) -> None:
    """Raise `InputError` if a model cannot help the clusterer, because it measures no distances."""
    if not has_distances(clusterer):
        raise InputError(
            f"strategy clusterer '{clusterer.name}' has no 'threshold' and 'distances', expected both where a model "
            "describes steps or judges pairs"
        )


def has_distances(clusterer: StrategyClusterer) -> bool:
    """Whether a clusterer measures distances between texts."""
    return hasattr(clusterer, "distances") and hasattr(clusterer, "threshold")


def _measured(
    clusterer: _Measures, chunk: Sequence[Group], summaries: Asker | None, judging: Judging | None
) -> Iterator[Measured]:
    read = _summarised(chunk, summaries) if summaries else chunk
    measured = [clusterer.distances(problem, texts) for problem, texts in read]
    threshold = float(clusterer.threshold)
    if judging:
        measured = _judged(chunk, measured, threshold, judging)
    for (_, texts), distances in zip(chunk, measured, strict=True):
        yield Measured(link(texts, distances, threshold), distances)


def _summarised(chunk: Sequence[Group], asker: Asker) -> list[Group]:
    lines = iter(summarise(asker, [(problem, text) for problem, texts in chunk for text in texts]))
    return [(problem, [next(lines) for _ in texts]) for problem, texts in chunk]


def _judged(
    chunk: Sequence[Group], measured: Sequence[NDArray[np.float64]], threshold: float, judging: Judging
) -> list[NDArray[np.float64]]:
    """Move the distances of pairs near the threshold to the side that the judge names."""
    close = [
        (number, i, j)
        for number, distances in enumerate(measured)
        for i in range(len(distances))
        for j in range(i)
        if abs(distances[i, j] - threshold) <= judging.margin and chunk[number][1][i] != chunk[number][1][j]
    ]
    verdicts = judge(judging.asker, [(chunk[n][0], chunk[n][1][i], chunk[n][1][j]) for n, i, j in close])
    moved = [distances.copy() for distances in measured]
    for (number, i, j), verdict in zip(close, verdicts, strict=True):
        moved[number][i, j] = moved[number][j, i] = judged(moved[number][i, j], verdict, threshold)
    return moved


def judged(distance: float, verdict: str | None, threshold: float) -> float:
    """Return the distance moved to the side of the threshold that the judge chose; unchanged if it chose none."""
    if verdict == "same":
        return min(distance, threshold)
    return max(distance, min(1.0, threshold + 1e-6)) if verdict == "different" else distance
