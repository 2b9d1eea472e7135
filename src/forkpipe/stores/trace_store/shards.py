"""Shards: immutable Parquet files of the table `traces`, each whole or not there."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from forkpipe.core.errors import InputError
from forkpipe.core.schemas import SCHEMAS
from forkpipe.stores.tables import VERSION, as_declared, check_readable, stored_names
from forkpipe.stores.trace_store.journal import sync_folder

SCHEMA = SCHEMAS["traces"]
GROUP_ROWS = 1024
"""Rows a row group: what is read at once to get at one text."""
UNREADABLE = (pa.ArrowException, OSError)
"""What reading a damaged file raises; Arrow's own is a ValueError or an OSError."""

_REPLACES = b"forkpipe.replaces"
_REPEATED = ["teacher", "teacher_revision", "prompt_hash", "sampling", "finish_reason", "status", "error", "run_id"]


def write_shard(path: Path, tables: Iterable[pa.Table], replaces: Sequence[str]) -> int:
    """Write a shard that appears whole or not at all, and return its rows; without rows none is written.

    Args:
        path: the shard.
        tables: its rows, of the schema of `traces`.
        replaces: names of the files of the folder that it stands for; the caller removes them afterwards.
    """
    schema = SCHEMA.with_metadata({**(SCHEMA.metadata or {}), _REPLACES: json.dumps(list(replaces)).encode()})
    rows = (table for table in tables if table.num_rows)
    first = next(rows, None)
    if first is None:
        return 0
    temporary = path.with_name(path.name + ".tmp")
    written = 0
    with temporary.open("wb") as file:
        with pq.ParquetWriter(
            file, schema, compression="zstd", use_dictionary=_REPEATED, write_page_checksum=True
        ) as writer:
            for table in chain([first], rows):
                writer.write_table(table, row_group_size=GROUP_ROWS)
                written += table.num_rows
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    sync_folder(path.parent)
    return written


def check_shard(path: Path) -> tuple[list[str] | None, str]:
    """Return (the files that a shard replaces, ""), or (None, what is wrong with it).

    Raises:
        InputError: the shard is whole, and of a version of the table that this one cannot read: its answers were paid
            for, so that only the user can decide to ask again.
    """
    try:
        schema = pq.read_schema(path)
    except UNREADABLE as error:
        return None, f"it is no whole Parquet file ({_first_line(error)})"
    metadata, mark = schema.metadata or {}, SCHEMA.metadata or {}
    if metadata.get(b"forkpipe.table") != b"traces":
        return None, "it is no table of traces"
    try:
        check_readable(schema, "traces", str(path))
    except InputError as error:
        if metadata.get(VERSION) == mark[VERSION]:
            return None, "its columns are not those of the table traces"
        raise InputError(f"{error}; move it away to have its requests sent again") from None
    return json.loads(metadata.get(_REPLACES, b"[]")), ""


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """Return some columns of a shard, without touching the others; texts that repeat come as dictionaries."""
    repeated = [name for name in columns if name in _REPEATED]
    with pq.ParquetFile(path, read_dictionary=repeated, page_checksum_verification=True) as file:
        return as_declared(file.read(columns=stored_names(file.schema_arrow, "traces", columns)), "traces", columns)


def read_rows(path: Path, rows: np.ndarray, columns: Sequence[str] | None = None) -> pa.Table:
    """Return rows of a shard by their ascending numbers; only the row groups that hold them are read."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        ends = np.cumsum(sizes)
        groups, inside = np.unique(np.searchsorted(ends, rows, side="right"), return_inverse=True)
        starts = (ends - sizes)[groups]
        kept = np.cumsum([0, *(sizes[group] for group in groups)])[:-1]
        names = stored_names(file.schema_arrow, "traces", columns or SCHEMA.names)
        table = file.read_row_groups(groups.tolist(), columns=names)
    # A reader's batches may be many; taking from one is what is fast.
    return as_declared(table.combine_chunks().take(pa.array(rows - starts[inside] + kept[inside])), "traces", columns)


def read_all(path: Path) -> Iterator[pa.Table]:
    """Yield all rows of a shard, a row group at a time."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        for group in range(file.num_row_groups):
            yield as_declared(file.read_row_group(group), "traces")


def n_rows(path: Path) -> int:
    """Return how many rows a shard has."""
    return int(pq.read_metadata(path).num_rows)


def decoded(column: pa.ChunkedArray) -> tuple[np.ndarray, list[Any]]:
    """Return a dictionary column as (codes, values)."""
    one = column.unify_dictionaries().combine_chunks()
    if isinstance(one, pa.ChunkedArray):  # no rows at all
        one = one.chunk(0) if one.num_chunks else pc.dictionary_encode(pa.array([], pa.string()))
    return one.indices.to_numpy(zero_copy_only=False), one.dictionary.to_pylist()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
