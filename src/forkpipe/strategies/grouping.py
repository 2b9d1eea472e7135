"""Cluster the traces of many problems, with the help of a language model if the parameters name one."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forkpipe.core.errors import InputError
from forkpipe.parameters import ParallelSettings
from forkpipe.stores.results import ResultStore
from forkpipe.strategies.asker import Asker
from forkpipe.strategies.base import Measured, StrategyClusterer, has_distances
from forkpipe.strategies.kept import Group, measured
from forkpipe.strategies.linkage import link
from forkpipe.strategies.pair_judge import judge
from forkpipe.strategies.summaries import summarise

CHUNK = 64
"""Problems about which a model is asked at a time."""


class Judging(NamedTuple):
    """A judge, and the largest distance from the threshold at which it is asked about a pair."""

    asker: Asker
    margin: float


def cluster_all(
    clusterer: StrategyClusterer,
    groups: Iterable[tuple[str, Sequence[str]]],
    summaries: Asker | None = None,
    judging: Judging | None = None,
    *,
    make: Callable[[], StrategyClusterer] | None = None,
    parallel: ParallelSettings | None = None,
    store: ResultStore | None = None,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Measured]:
    """Yield the clusters of every problem, in order; a few problems are in memory at a time.

    Args:
        groups: problems with their texts.
        summaries: asks a model for the steps of a text; a text without a summary is read as it is.
        judging: decides pairs near the threshold.
        make: makes the clusterer in another process, None if there is no other.
        parallel: how many processes cluster; one unless given.
        store: of kept results, open; None keeps none.
        options: those of the clusterer.

    Raises:
        InputError: a model is to summarise or judge, but the clusterer measures no distances.
    """
    if summaries or judging:
        check_measures(clusterer)
    read = _summarised(groups, summaries) if summaries else (Group(problem, texts, texts) for problem, texts in groups)
    parallel = parallel if parallel is not None and make is not None else ParallelSettings(workers=1)
    clustered = measured(clusterer, make or (lambda: clusterer), read, parallel, store, options or {})
    if judging is None:
        yield from (result for _, result in clustered)
        return
    threshold = float(clusterer.threshold)  # type: ignore[attr-defined]
    while chunk := list(islice(clustered, CHUNK)):
        problems = [(group.problem, group.texts) for group, _ in chunk]
        moved = _judged(
            problems, [result.distances for _, result in chunk if result.distances is not None], threshold, judging
        )
        for (_, texts), distances in zip(problems, moved, strict=True):
            yield Measured(link(texts, distances, threshold), distances)


def check_measures(clusterer: StrategyClusterer) -> None:
    """Raise `InputError` if a model cannot help the clusterer, because it measures no distances."""
    if not has_distances(clusterer):
        raise InputError(
            f"strategy clusterer '{clusterer.name}' has no 'threshold' and 'distances', expected both where a model "
            "describes steps or judges pairs"
        )


def _summarised(groups: Iterable[tuple[str, Sequence[str]]], asker: Asker) -> Iterator[Group]:
    remaining = iter(groups)
    while chunk := list(islice(remaining, CHUNK)):
        lines = iter(summarise(asker, [(problem, text) for problem, texts in chunk for text in texts]))
        for problem, texts in chunk:
            yield Group(problem, texts, [next(lines) for _ in texts])


def _judged(
    chunk: Sequence[tuple[str, Sequence[str]]],
    measured: Sequence[NDArray[np.float64]],
    threshold: float,
    judging: Judging,
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
