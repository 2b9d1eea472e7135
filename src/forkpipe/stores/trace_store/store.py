"""The store of the answers of teachers: finds rows by the index of their requests."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from forkpipe.core.errors import InputError
from forkpipe.core.progress import logger
from forkpipe.core.rows import TraceRow
from forkpipe.stores.trace_store import shards
from forkpipe.stores.trace_store.folder import JOURNAL_BYTES, ShardedFolder
from forkpipe.stores.trace_store.index import KINDS, Index, scan_shard
from forkpipe.stores.trace_store.recovery import journal_tables

READ_BYTES = 64 << 20
"""Bytes of texts in memory at a time when many rows are read."""


class TraceStore(ShardedFolder):
    """Rows of attempts, see `folder.ShardedFolder`.

    Args:
        path: the folder. If a file PATH.jsonl exists, it is a store of an earlier version: its rows are moved here.
        journal_bytes: see `folder.JOURNAL_BYTES`.
    """

    def __init__(self, path: Path, *, journal_bytes: int = JOURNAL_BYTES) -> None:
        super().__init__(path, "trace store", "its requests are sent again", journal_bytes=journal_bytes)
        self.kinds = list(KINDS)
        """Kinds of errors, by the code that `Index.kind` holds."""
        self._indexed: dict[int, Index] = {}

    def index(self) -> Index:
        """Return an entry for each row; the journal becomes a shard first. A shard that cannot be read is set aside."""
        with self._guard:
            self.compact()
            for number in list(self._shards):
                if number in self._indexed:
                    continue
                path = self._path_of_shard(number)
                try:
                    self._indexed[number] = scan_shard(path, number, self.kinds)
                except (*shards.UNREADABLE, ValueError, KeyError, TypeError) as error:
                    self._set_aside(path, f"it cannot be read ({type(error).__name__})")
                    self._shards.remove(number)
            parts = [self._indexed[number] for number in self._shards]
            return Index.concatenated(parts) if parts else Index.empty()

    def size(self) -> int:
        """Return the bytes of all shards."""
        return sum(self._path_of_shard(number).stat().st_size for number in self._shards)

    def tables(self, entries: Index, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows of entries of the index, in the order of the entries, about `READ_BYTES` of texts at a time.

        Rows that were written in about this order are stored close together, and then each text is read once.
        """
        rows = sum(len(part) for part in self._indexed.values())
        step = max(shards.GROUP_ROWS, int(READ_BYTES / (3 * max(self.size(), 1) / max(rows, 1))))  # texts shrink
        for start in range(0, len(entries), step):
            yield self._read(entries.take(slice(start, start + step)), columns)

    def rows(self) -> Iterator[TraceRow]:
        """Yield every row, one for each (request_id, attempt), in no particular order."""
        index = self.index()
        pairs = np.stack([index.key, index.attempt.astype(np.uint64)], axis=1)
        _, first = np.unique(pairs, axis=0, return_index=True)
        for table in self.tables(index.take(np.sort(first))):
            yield from table.to_pylist()

    def drop(self, entries: Index) -> None:
        """Delete the rows of entries of the index: each shard that holds some is replaced by one without them."""
        with self._guard:
            self.compact()
            for number in np.unique(entries.shard).tolist():
                path = self._path_of_shard(number)
                kept = np.ones(pq.read_metadata(path).num_rows, np.bool_)
                kept[entries.row[entries.shard == number]] = False
                self._replace([number], _filtered(shards.read_all(path), kept))

    def _read(self, entries: Index, columns: Sequence[str] | None) -> pa.Table:
        """Return the rows of entries, in the order of the entries."""
        order = np.lexsort((entries.row, entries.shard))
        tables = []
        for number in np.unique(entries.shard).tolist():
            path = self._path_of_shard(number)
            try:
                rows = entries.row[order][entries.shard[order] == number]
                tables.append(shards.read_rows(path, rows, columns))
            except shards.UNREADABLE as error:
                if path.exists():
                    self._set_aside(path, f"its texts cannot be read ({type(error).__name__})")
                raise InputError(
                    f"{path} cannot be read: run again, and the requests whose answers it held are sent again"
                ) from error
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return pa.concat_tables(tables).combine_chunks().take(pa.array(back))

    def _check_shard(self, path: Path) -> tuple[list[str] | None, str]:
        return shards.check_shard(path)

    def _write_shard(self, path: Path, tables: Iterable[pa.Table], replaces: Sequence[str]) -> int:
        return shards.write_shard(path, tables, replaces)

    def _read_shard(self, path: Path) -> Iterator[pa.Table]:
        return shards.read_all(path)

    def _read_journal(self, path: Path) -> Iterator[pa.Table]:
        return journal_tables(path)

    def _forget(self, number: int) -> None:
        self._indexed.pop(number, None)

    def _is_file(self) -> str:
        return f"{super()._is_file()}; a store of an earlier version, NAME.jsonl beside the folder NAME, is taken over"

    def _from_earlier_versions(self) -> list[Path]:
        earlier = self.path.with_name(self.path.name + ".jsonl")
        if earlier.is_file():
            taken = self._path_of_journal(self._next)
            self._next += 1
            earlier.rename(taken)
            logger.info("%s, a store of an earlier version, is taken over into %s", earlier, self.path)
            return [taken]
        return []


def _filtered(tables: Iterable[pa.Table], kept: np.ndarray) -> Iterator[pa.Table]:
    start = 0
    for table in tables:
        yield table.filter(pa.array(kept[start : start + len(table)]))
        start += len(table)
