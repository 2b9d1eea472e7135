"""Clusters the traces of many problems over all cores; what was read and measured before is kept.

`stores.results` keeps, by the clusterer (its version, options and source files) and the problem: the distances between
its texts with their clusters, and what each text reads as. A problem whose texts are the same is not clustered again.
One with further texts costs their reading and their distances: reading takes nine tenths of the time.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from forkpipe.core.ids import content_hash
from forkpipe.core.plugins import source_digest
from forkpipe.parallel.chunks import Known
from forkpipe.parallel.mapped import mapped_beside
from forkpipe.parameters import ParallelSettings
from forkpipe.stores.results import ResultStore
from forkpipe.strategies.base import Clusters, Measured, StrategyClusterer, has_distances
from forkpipe.strategies.linkage import link

AT_A_TIME = 16
"""Problems whose kept results are looked up at a time."""

Matrix: TypeAlias = NDArray[np.float64]
"""Distances between the texts of a problem, n x n; nan where they are not known."""


@runtime_checkable
class Reads(Protocol):
    """A clusterer that reads each text by itself; then a further text of a problem costs only its own reading."""

    threshold: float

    def read(self, problem: str, text: str) -> Any:
        """Return what distances compare of a text."""
        ...

    def apart(self, a: Any, b: Any) -> float:
        """Return the distance between two readings."""
        ...

    def packed(self, reading: Any) -> Any:
        """Return a reading as JSON can hold it."""
        ...

    def unpacked(self, packed: Any) -> Any:
        """Return the reading that was packed."""
        ...


class Group(NamedTuple):
    """The texts of a problem that are clustered."""

    problem: str
    texts: Sequence[str]
    """As they are linked and shown."""
    read: Sequence[str]
    """As they are read: a model's summaries, or the texts themselves."""


class _Work(NamedTuple):
    """A group, with what is known of it."""

    group: Group
    between: Matrix | None
    """Known distances."""
    readings: Sequence[Any]
    """Packed, None where there is none."""


class _Done(NamedTuple):
    """What was measured of a group, and readings that were made for it, by the place of their text."""

    measured: Measured
    readings: Mapping[int, Any] | None
    """None where all of it was held."""


class Measuring:
    """Clusters one group, in whatever process; the clusterer is made there.

    Args:
        make: returns the clusterer.
    """

    def __init__(self, make: Callable[[], StrategyClusterer]) -> None:
        self._make = make
        self._clusterer: StrategyClusterer | None = None

    def __call__(self, work: _Work) -> _Done:
        """Return the clusters of a group."""
        if self._clusterer is None:
            self._clusterer = self._make()
        clusterer, group = self._clusterer, work.group
        if not has_distances(clusterer):
            return _Done(Measured(clusterer.cluster(group.problem, group.texts), None), {})
        if isinstance(clusterer, Reads):
            between, readings = _between(clusterer, work)
        else:
            between, readings = clusterer.distances(group.problem, group.read), {}  # type: ignore[attr-defined]
        return _Done(Measured(link(group.texts, between, float(clusterer.threshold)), between), readings)  # type: ignore[attr-defined]

    def __reduce__(self) -> tuple[Any, ...]:
        return Measuring, (self._make,)


def _between(clusterer: Reads, work: _Work) -> tuple[Matrix, dict[int, Any]]:
    """Return all distances, and the readings that were made for those that were not known."""
    problem, _, texts = work.group
    n = len(texts)
    between = np.full((n, n), np.nan) if work.between is None else work.between.copy()
    np.fill_diagonal(between, 0.0)
    unknown = [(i, j) for i in range(n) for j in range(i) if np.isnan(between[i, j])]
    needed = sorted({at for pair in unknown for at in pair})
    # The only text of a problem has no distances; it is read for texts that may come later.
    needed = needed or [at for at in range(n) if n == 1]
    readings: dict[int, Any] = {}
    new: dict[int, Any] = {}
    for at in needed:
        if work.readings[at] is not None:
            readings[at] = clusterer.unpacked(work.readings[at])
        else:
            readings[at] = clusterer.read(problem, texts[at])
            new[at] = clusterer.packed(readings[at])
    for i, j in unknown:
        between[i, j] = between[j, i] = clusterer.apart(readings[i], readings[j])
    return between, new


def measured(
    clusterer: StrategyClusterer,
    make: Callable[[], StrategyClusterer],
    groups: Iterable[Group],
    parallel: ParallelSettings,
    store: ResultStore | None,
    options: Mapping[str, Any],
) -> Iterator[tuple[Group, Measured]]:
    """Yield each group with its clusters, in order; they are in the store, which is open, when they are yielded.

    Args:
        make: returns the same clusterer in another process.
        store: of kept results; None keeps none.
        options: those of the clusterer.
    """
    kept = _Kept(store, clusterer, options)

    def given() -> Iterator[tuple[tuple[Group, _Held], _Work | Known]]:
        remaining = iter(groups)
        while block := list(islice(remaining, AT_A_TIME)):
            for group, held in zip(block, kept.of(block), strict=True):
                yield (group, held), held.work(group)

    for (group, held), done in mapped_beside(Measuring(make), given(), parallel):
        kept.put(group, held, done)
        yield group, done.measured


@dataclass
class _Held:
    """What the store holds of a group: names of its texts, their packed readings, an earlier result of its problem."""

    names: list[str]
    readings: list[Any]
    record: Any = None

    def work(self, group: Group) -> _Work | Known:
        """Return the group as work that is left, or its result."""
        if self.record is None:
            return _Work(group, None, self.readings)
        before = _matrix(self.record["between"], len(self.record["texts"]))
        if self.record["texts"] == self.names:
            return Known(_Done(Measured(Clusters(*self.record["clusters"]), before), None))
        if before is None:
            return _Work(group, None, self.readings)
        place = {name: at for at, name in enumerate(self.record["texts"])}
        places = [place.get(name, -1) for name in self.names]
        between = np.full((len(places), len(places)), np.nan)
        known = [at for at, place_before in enumerate(places) if place_before >= 0]
        old = [places[at] for at in known]
        between[np.ix_(known, known)] = before[np.ix_(old, old)]
        return _Work(group, between, self.readings)


class _Kept:
    """Reads and writes what is kept of groups.

    Args:
        store: open; None keeps nothing.
        options: those of the clusterer.
    """

    def __init__(self, store: ResultStore | None, clusterer: StrategyClusterer, options: Mapping[str, Any]) -> None:
        self._store = store
        self._by = content_hash(clusterer.name, clusterer.version, dict(options), source_digest(type(clusterer)))
        self._reads = isinstance(clusterer, Reads)

    def of(self, groups: Sequence[Group]) -> list[_Held]:
        """Return what is held of groups; readings are looked up only where they are needed."""
        if self._store is None:
            return [_Held([], [None] * len(group.texts)) for group in groups]
        records = self._store.get([self._key(group) for group in groups])
        held = []
        for group in groups:
            names = [content_hash("text", *pair) for pair in zip(group.texts, group.read, strict=True)]
            held.append(_Held(names, [None] * len(names), records.get(self._key(group))))
            if self._reads and (held[-1].record is None or held[-1].record["texts"] != names):
                keys = [self._reading(group, at) for at in range(len(names))]
                readings = self._store.get(keys)
                held[-1].readings = [readings.get(key) for key in keys]
        return held

    def put(self, group: Group, held: _Held, done: _Done) -> None:
        """Keep what was measured and read of a group, unless it was held already."""
        if self._store is None or done.readings is None:
            return
        clusters, between = done.measured
        results: dict[str, Any] = {self._reading(group, at): reading for at, reading in done.readings.items()}
        results[self._key(group)] = {
            "texts": held.names,
            "between": None if between is None else between[np.tril_indices(len(between), -1)].tolist(),
            "clusters": [
                list(map(int, clusters.labels)),
                list(map(int, clusters.representatives)),
                list(map(float, clusters.distances)),
            ],
        }
        self._store.put(results)

    def _key(self, group: Group) -> str:
        return content_hash("clusters", self._by, group.problem)

    def _reading(self, group: Group, at: int) -> str:
        return content_hash("reading", self._by, group.problem, group.read[at])


def _matrix(lower: Sequence[float] | None, n: int) -> Matrix | None:
    """Return a symmetric matrix from the part below its diagonal, row by row."""
    if lower is None:
        return None
    between = np.zeros((n, n))
    between[np.tril_indices(n, -1)] = lower
    return between + between.T
