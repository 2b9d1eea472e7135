"""Results by a key of all that they follow from, so that a killed run keeps what it computed and nothing is redone.

A store is a folder of journals and shards (`trace_store.folder`). A result is a JSON value under a key of 16 hex
digits, `core.ids.content_hash` of what decides it. Of two results under one key the newer counts. The folder may be
deleted at any time: then results are computed again.
"""

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from forkpipe.core.errors import one_line
from forkpipe.stores.trace_store.folder import ShardedFolder
from forkpipe.stores.trace_store.index import keys_of
from forkpipe.stores.trace_store.journal import read_journal
from forkpipe.stores.trace_store.shards import UNREADABLE, write_parquet

GROUP_ROWS = 128
"""Rows of a row group, which is read as a whole to get one result."""
GROUPS_KEPT = 4
"""Row groups in memory: results are mostly asked for in the order in which they were written."""
_NAME, _REPLACES = b"forkpipe.results", b"forkpipe.replaces"


class ResultStore(ShardedFolder):
    """Results by their keys. Use it within `with store:`, which holds the lock.

    Args:
        path: the folder, created when the store is opened.
    """

    def __init__(self, path: Path, *, journal_bytes: int = 64 << 20) -> None:
        super().__init__(path, "store of results", "its results are computed again", journal_bytes=journal_bytes)
        self._keys: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        """Keys of each shard in ascending order, and their rows."""
        self._groups: OrderedDict[tuple[int, int], list[str]] = OrderedDict()

    def put(self, results: Mapping[str, Any]) -> None:
        """Write results by key; after that, a killed process does not lose them."""
        for key, value in results.items():
            self.append({"key": key, "value": json.dumps(value)})

    def get(self, keys: Sequence[str]) -> dict[str, Any]:
        """Return the results that shards hold under some of these keys: all but those that this run has put last."""
        held: dict[str, Any] = {}
        wanted = np.array([int(key, 16) for key in keys], np.uint64)
        for number in sorted(self._shards):  # of two results the newer counts
            ascending, rows = self._keys_of(number)
            if not len(ascending):
                continue
            at = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
            hits = np.flatnonzero(ascending[at] == wanted)
            try:
                held |= {keys[hit]: json.loads(self._value(number, int(rows[at[hit]]))) for hit in hits.tolist()}
            except UNREADABLE as error:
                self._lose(number, error)
        return held

    def _keys_of(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        if number not in self._keys:
            try:
                with pq.ParquetFile(self._path_of_shard(number)) as file:
                    keys = keys_of(file.read(columns=["key"]).column("key"))
                order = np.argsort(keys, kind="stable").astype(np.int32)
                ascending = keys[order]
                last = np.append(ascending[1:] != ascending[:-1], True) if len(keys) else np.zeros(0, np.bool_)
                self._keys[number] = ascending[last], order[last]
            except (*UNREADABLE, ValueError) as error:
                self._lose(number, error)
                return np.zeros(0, np.uint64), np.zeros(0, np.int32)
        return self._keys[number]

    def _value(self, number: int, row: int) -> str:
        group, within = divmod(row, GROUP_ROWS)
        if (number, group) not in self._groups:
            with pq.ParquetFile(self._path_of_shard(number), page_checksum_verification=True) as file:
                self._groups[number, group] = file.read_row_group(group, columns=["value"]).column("value").to_pylist()
            while len(self._groups) > GROUPS_KEPT:
                self._groups.popitem(last=False)
        self._groups.move_to_end((number, group))
        return self._groups[number, group][within]

    def _lose(self, number: int, error: Exception) -> None:
        self._set_aside(self._path_of_shard(number), f"it cannot be read ({type(error).__name__})")
        self._shards.remove(number)
        self._forget(number)

    def _forget(self, number: int) -> None:
        self._keys.pop(number, None)
        for known in [known for known in self._groups if known[0] == number]:
            del self._groups[known]

    def _check_shard(self, path: Path) -> tuple[list[str] | None, str]:
        try:
            metadata = pq.read_schema(path).metadata or {}
        except UNREADABLE as error:
            return None, f"it is no whole Parquet file ({one_line(error)})"
        if metadata.get(_NAME) != b"1":
            return None, "it holds no results"
        return json.loads(metadata.get(_REPLACES, b"[]")), ""

    def _write_shard(self, path: Path, tables: Iterable[pa.Table], replaces: Sequence[str]) -> int:
        schema = _SCHEMA.with_metadata({_NAME: b"1", _REPLACES: json.dumps(list(replaces)).encode()})
        return write_parquet(path, _of_whole_groups(tables), schema, GROUP_ROWS, dictionaries=[])

    def _read_shard(self, path: Path) -> Iterator[pa.Table]:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group)

    def _read_journal(self, path: Path) -> Iterator[pa.Table]:
        rows: list[dict[str, str]] = []
        for _, row in read_journal(path):
            if row is None or not (isinstance(row.get("key"), str) and isinstance(row.get("value"), str)):
                continue  # torn: its result is computed again
            rows.append({"key": row["key"], "value": row["value"]})
            if len(rows) == GROUP_ROWS:
                yield pa.Table.from_pylist(rows, _SCHEMA)
                rows = []
        if rows:
            yield pa.Table.from_pylist(rows, _SCHEMA)


_SCHEMA = pa.schema([pa.field("key", pa.string(), nullable=False), pa.field("value", pa.string(), nullable=False)])


def _of_whole_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows in tables of `GROUP_ROWS` rows, the last one perhaps smaller, so that a row's group is known."""
    rest = _SCHEMA.empty_table()
    for table in tables:
        rest = pa.concat_tables([rest, table.cast(_SCHEMA)])
        while len(rest) >= GROUP_ROWS:
            yield rest.slice(0, GROUP_ROWS)
            rest = rest.slice(GROUP_ROWS)
    yield rest
