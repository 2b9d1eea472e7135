"""Where the samples of teachers lie in a file of traces: one pass over the file serves all teachers that read it."""

import os
from array import array
from collections.abc import Callable, Hashable
from typing import Any, TypeAlias
from weakref import WeakSet, WeakValueDictionary

import numpy as np

from forkpipe.core.errors import InputError
from forkpipe.core.file_digests import Stat, settled_stat
from forkpipe.core.row_access import RowAccess
from forkpipe.engines.import_samples import ProblemKey, Samples, Trace

Numbers: TypeAlias = "array[int]"
COLUMNS = ("first", "second", "place", "index", "digest")
"""Of each sample: both halves of the problem's key, the row's place, the sample's index in the row, its digest."""


class Index:
    """The samples of one teacher, 40 bytes each, by problem and in the order of the file."""

    def __init__(self, columns: dict[str, Numbers]) -> None:
        arrays = {name: np.frombuffer(column, np.uint64) for name, column in columns.items()}
        order = np.lexsort((arrays["second"], arrays["first"]))  # stable: the samples of a problem keep their order
        self._columns = {name: column[order] for name, column in arrays.items()}

    def of(self, problem: ProblemKey) -> range:
        """Return the positions of a problem's samples."""
        first, second = map(np.uint64, problem)
        start, stop = (int(np.searchsorted(self._columns["first"], first, side=side)) for side in ("left", "right"))
        within = self._columns["second"][start:stop]
        begin, end = (int(np.searchsorted(within, second, side=side)) for side in ("left", "right"))
        return range(start + begin, start + end)

    def at(self, position: int) -> tuple[int, int, str]:
        """Return (place of the row, index in it, digest) of a sample."""
        place, index, digest = (int(self._columns[name][position]) for name in COLUMNS[2:])
        return place, index, f"{digest:016x}"


class Reader:
    """The samples of one teacher in a file of traces.

    Args:
        path: the file.
        spec: equal for readers that find the same samples in the same file.
        reads: the files whose content decides what is found.
        samples: makes what finds the samples, when the file is read.
        nothing: says what no row has, if no sample is found.
    """

    def __init__(
        self, path: str, spec: Hashable, reads: list[str], samples: Callable[[], Samples], nothing: Callable[[], str]
    ) -> None:
        self._path = path
        self._spec = (path, spec)
        self._reads = reads
        self._make = samples
        self._nothing = nothing
        self._samples: Samples | None = None
        self._index: Index | None = None
        self._failure: InputError | None = None
        self._columns: dict[str, Numbers] = {}
        self._row: tuple[int, list[Callable[[], Trace]]] | None = None
        name = os.path.abspath(path) if os.path.exists(path) else path
        self._file = _files.setdefault(name, _File(path))
        self._file.readers.add(self)

    def count(self, problem: ProblemKey) -> int:
        """Return how many samples of a problem there are."""
        return len(self._found().of(problem))

    def digest(self, problem: ProblemKey, sample: int) -> str:
        """Return the digest of a sample; IndexError if there are fewer."""
        index = self._found()
        return index.at(index.of(problem)[sample])[2]

    def trace(self, problem: ProblemKey, sample: int) -> Trace:
        """Read a sample; IndexError if there are fewer, InputError if the file changed since it was first read."""
        index = self._found()
        place, at, digest = index.at(index.of(problem)[sample])
        if self._row is None or self._row[0] != place:  # a row may hold many samples
            row = self._file.rows.row(place)
            self._row = place, [] if row is None else self._finder().traces(self._path, row)
        reads = self._row[1]
        if at >= len(reads) or (trace := reads[at]()).digest() != digest:
            raise InputError(f"{self._path}: changed while it was read, run again")
        return trace

    def close(self) -> None:
        """Forget the samples and close the file; the next question reads the file again if it has changed since."""
        self._index = self._samples = self._failure = self._row = None
        if all(reader._index is None for reader in self._file.readers):
            self._file.rows.close()

    def _found(self) -> Index:
        if self._index is None and self._failure is None:
            self._file.read()
        if self._failure is not None:
            raise self._failure
        assert self._index is not None
        return self._index

    def _finder(self) -> Samples:
        if self._samples is None:
            self._samples = self._make()
        return self._samples

    def _stats(self) -> tuple[Stat, ...] | None:
        """Return what identifies the content of the files that are read; None where nothing does."""
        stats = [stat for stat in map(settled_stat, self._reads) if stat is not None]
        return tuple(stats) if len(stats) == len(self._reads) else None

    # `_File` calls the following, in this order.

    def begin(self) -> bool:
        """Return whether the file must be read for this reader."""
        if self._index is not None or self._failure is not None:
            return False
        stats, kept = self._stats(), _kept.get(self._spec)
        if stats is not None and kept is not None and kept[0] == stats:
            self._index = kept[1]
            return False
        self._columns = {name: array("Q") for name in COLUMNS}
        return True

    def take(self, number: int, place: int, row: Any) -> bool:
        """Note the samples of a row; return False if it cannot be read for this teacher, which `_found` raises."""
        try:
            for index, key, read in self._finder().of(f"{self._path} row {number}", row):
                entry = (*key, place, index, int(read().digest(), 16))
                for column, value in zip(self._columns.values(), entry, strict=True):
                    column.append(value)
        except InputError as error:
            self._failure = error
            return False
        return True

    def end(self, rows: int) -> None:
        """Make the index."""
        columns, self._columns = self._columns, {}
        if self._failure is not None:
            return
        if not columns["place"]:
            why = f"none of {rows} rows has {self._nothing()}" if rows else "has no rows"
            self._failure = InputError(f"{self._path}: {why}")
            return
        self._index = Index(columns)
        if (stats := self._stats()) is not None:
            _kept[self._spec] = stats, self._index


class _File:
    """A file, and those who read it."""

    def __init__(self, path: str) -> None:
        self.rows = RowAccess(path)
        self.readers: WeakSet[Reader] = WeakSet()

    def read(self) -> None:
        """Find the samples of all readers that have not been asked yet, in one pass."""
        readers = reading = [reader for reader in self.readers if reader.begin()]
        if not readers:
            return
        self.rows.close()
        rows = 0
        for number, place, row in self.rows:
            rows += 1
            reading = [reader for reader in reading if reader.take(number, place, row)]
            if not reading:
                break
        for reader in readers:
            reader.end(rows)


_files: WeakValueDictionary[str, _File] = WeakValueDictionary()
"""The files that readers of this process read."""
_kept: dict[Hashable, tuple[tuple[Stat, ...], Index]] = {}
"""What readers found, and the state of the files it holds for: the checks before a run and the run read a file once."""
