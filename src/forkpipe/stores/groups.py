"""Reads tables batch by batch, and the rows of one problem after the other.

The stages work on problems, and tables are written problem by problem. So the rows of a problem are neighbours, and
only a few batches are in memory. A table of another order, such as one of an earlier version, is read as well: it is
then sorted in memory.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Protocol

import pyarrow as pa

from forkpipe.core.errors import InputError
from forkpipe.stores.tables import BATCH_ROWS

PROBLEM = "problem_id"


class Source(Protocol):
    """A table that is read batch by batch."""

    @property
    def column_names(self) -> list[str]:
        """Names of its columns."""
        ...

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        ...

    def batches(self, columns: Sequence[str], rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield some columns, at most so many rows at a time."""
        ...


class InMemory:
    """A `pyarrow.Table` as a source."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    @property
    def column_names(self) -> list[str]:
        """Names of its columns."""
        return list(self.table.column_names)

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return int(self.table.num_rows)

    def batches(self, columns: Sequence[str], rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield some columns, at most so many rows at a time."""
        yield from self.table.select(list(columns)).to_batches(max_chunksize=rows)


def source_of(table: Any) -> Source:
    """Return a table, which is in memory or stored, as a source."""
    return InMemory(table) if isinstance(table, pa.Table) else table


class Joined:
    """The columns of two tables that have a row each for the same ids, mostly in the same order.

    Args:
        first: the table whose order counts.
        second: the other; only the columns that are asked of it are in memory where its order is another.
        key: the column of ids.
        columns: columns of the second table; all others are read from the first.
        name: of the second table, for messages.
    """

    def __init__(self, first: Any, second: Any, key: str, columns: Sequence[str], name: str) -> None:
        self._first, self._second = source_of(first), source_of(second)
        self._key, self._columns, self._name = key, tuple(columns), name

    @property
    def column_names(self) -> list[str]:
        """Names of the columns of both."""
        return [*self._first.column_names, *self._columns]

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return self._first.num_rows

    def batches(self, columns: Sequence[str], rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield some columns of both; InputError if an id of the first table is not in the second."""
        theirs = [name for name in columns if name in self._columns]
        mine = [name for name in columns if name not in self._columns]
        following = _Cut(self._second.batches([self._key, *theirs]))
        whole: pa.Table | None = None
        for batch in self._first.batches(list(dict.fromkeys([self._key, *mine])), rows):
            ids = batch.column(self._key)
            other = following.take(len(batch)) if whole is None else None
            if other is None or not other.column(self._key).combine_chunks().equals(ids):
                if whole is None:
                    whole = pa.Table.from_batches(self._second.batches([self._key, *theirs]))
                other = self._looked_up(whole, ids)
            table = pa.Table.from_batches([batch])
            for name in theirs:
                table = table.append_column(other.schema.field(name), other.column(name))
            yield from table.select(list(columns)).combine_chunks().to_batches()

    def _looked_up(self, whole: pa.Table, ids: pa.Array) -> pa.Table:
        import pyarrow.compute as pc  # slow to import, so only where it is used

        at = pc.index_in(ids, whole.column(self._key).combine_chunks())
        if at.null_count:
            lost = ids.filter(pc.is_null(at))[0]
            raise InputError(f"{self._name} has no row with {self._key} {lost}: make it again from these traces")
        return whole.take(at)


class _Cut:
    """Takes so many rows at a time from batches of other sizes."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._rest: list[pa.RecordBatch] = []

    def take(self, rows: int) -> pa.Table | None:
        """Return the next rows, None where fewer are left."""
        while sum(map(len, self._rest)) < rows:
            following = next(self._batches, None)
            if following is None:
                return None
            self._rest.append(following)
        table = pa.Table.from_batches(self._rest)
        self._rest = table.slice(rows).to_batches()
        return table.slice(0, rows)


class Groups:
    """The rows of a table by problem.

    Args:
        table: with the column `problem_id`, in memory or stored.
        columns: that rows shall have.
    """

    def __init__(self, table: Any, columns: Sequence[str]) -> None:
        self._source, self._columns = source_of(table), list(dict.fromkeys([PROBLEM, *columns]))
        self.problems: dict[str, int] = {}
        """The problems in the order of their first rows, with their places in this order."""
        together, last = True, None
        for batch in self._source.batches([PROBLEM]):
            for problem_id, _ in groupby(batch.column(0).to_pylist()):
                together &= problem_id == last or problem_id not in self.problems
                last = problem_id
                self.problems.setdefault(problem_id, len(self.problems))
        self._sorted: pa.Table | None = None if together else self._sort()
        self._streamed = self._stream()
        self._passed = 0

    def __iter__(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Yield (problem, its rows) in the order of `problems`."""
        return self._stream()

    def of(self, problem_id: str) -> list[dict[str, Any]]:
        """Return the rows of a problem; fast if problems are asked for in the order of `problems`."""
        place = self.problems.get(problem_id)
        if place is None:
            return []
        if place < self._passed:
            self._streamed, self._passed = self._stream(), 0
            if self._sorted is None:
                self._sorted = self._sort()
        if self._sorted is not None:
            return self._slice(place)
        while True:
            self._passed += 1
            following, rows = next(self._streamed)
            if following == problem_id:
                return rows

    def _stream(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        if self._sorted is not None:
            for problem_id, place in self.problems.items():
                yield problem_id, self._slice(place)
            return
        rows = (row for batch in self._source.batches(self._columns) for row in batch.to_pylist())
        for problem_id, group in groupby(rows, key=lambda row: row[PROBLEM]):
            yield problem_id, list(group)

    def _sort(self) -> pa.Table:
        import numpy as np

        whole = pa.Table.from_batches(self._source.batches(self._columns))
        places = np.array([self.problems[name] for name in whole.column(PROBLEM).to_pylist()], np.int64)
        order = np.argsort(places, kind="stable")
        self._ends = np.cumsum(np.bincount(places, minlength=len(self.problems)))
        return whole.take(pa.array(order))

    def _slice(self, place: int) -> list[dict[str, Any]]:
        assert self._sorted is not None
        start = int(self._ends[place - 1]) if place else 0
        rows: list[dict[str, Any]] = self._sorted.slice(start, int(self._ends[place]) - start).to_pylist()
        return rows
