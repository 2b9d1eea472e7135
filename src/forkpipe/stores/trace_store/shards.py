"""Shards: immutable Parquet files of the table `traces`, each whole or absent."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from forkpipe.core.errors import InputError, one_line
from forkpipe.core.schemas import SCHEMAS
from forkpipe.stores.trace_store.journal import sync_folder
from forkpipe.stores.versions import VERSION, as_declared, check_readable, stored_names

SCHEMA = SCHEMAS["traces"]
GROUP_ROWS = 1024
"""Rows of a row group, which is read as a whole to get one text."""
UNREADABLE = (pa.ArrowException, OSError)
"""The errors that reading a damaged file raises; those of Arrow are ValueError or OSError too."""

_REPLACES = b"forkpipe.replaces"
_REPEATED = ["teacher", "teacher_revision", "prompt_hash", "sampling", "finish_reason", "status", "error", "run_id"]


def write_shard(path: Path, tables: Iterable[pa.Table], replaces: Sequence[str]) -> int:
    """Write a shard, whole or not at all, and return its number of rows; without rows no shard is written.

    Args:
        tables: its rows, of the schema of `traces`.
        replaces: names of the files that it replaces; the caller deletes them afterwards.
    """
    schema = SCHEMA.with_metadata({**(SCHEMA.metadata or {}), _REPLACES: json.dumps(list(replaces)).encode()})
    return write_parquet(path, tables, schema, GROUP_ROWS, _REPEATED)


def write_parquet(
    path: Path, tables: Iterable[pa.Table], schema: pa.Schema, group_rows: int, dictionaries: Sequence[str]
) -> int:
    """Write a Parquet file, whole or not at all, and return its number of rows; without rows no file is written.

    Args:
        group_rows: rows of a row group at most.
        dictionaries: columns of repeated texts.
    """
    rows = (table for table in tables if table.num_rows)
    first = next(rows, None)
    if first is None:
        return 0
    temporary = path.with_name(path.name + ".tmp")
    written = 0
    with temporary.open("wb") as file:
        with pq.ParquetWriter(
            file, schema, compression="zstd", use_dictionary=list(dictionaries), write_page_checksum=True
        ) as writer:
            for table in chain([first], rows):
                writer.write_table(table, row_group_size=group_rows)
                written += table.num_rows
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    sync_folder(path.parent)
    return written


def check_shard(path: Path) -> tuple[list[str] | None, str]:
    """Return (names of the files that a shard replaces, ""), or (None, what is wrong with the shard).

    Raises:
        InputError: the shard is whole, but this version of forkpipe cannot read it. Its answers were paid for, so the
            user has to decide whether to ask again.
    """
    try:
        schema = pq.read_schema(path)
    except UNREADABLE as error:
        return None, f"it is no whole Parquet file ({one_line(error)})"
    metadata, mark = schema.metadata or {}, SCHEMA.metadata or {}
    if metadata.get(b"forkpipe.table") != b"traces":
        return None, "it is no table of traces"
    try:
        check_readable(schema, "traces", str(path))
    except InputError as error:
        if metadata.get(VERSION) == mark[VERSION]:
            return None, "it lacks columns of the table traces, or has others"
        raise InputError(f"{error}; move it away to have its requests sent again") from None
    return json.loads(metadata.get(_REPLACES, b"[]")), ""


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """Return some columns of a shard without reading the others; columns of repeated texts come as dictionaries."""
    repeated = [name for name in columns if name in _REPEATED]
    with pq.ParquetFile(path, read_dictionary=repeated, page_checksum_verification=True) as file:
        return as_declared(file.read(columns=stored_names(file.schema_arrow, "traces", columns)), "traces", columns)


def read_rows(path: Path, rows: np.ndarray, columns: Sequence[str] | None = None) -> pa.Table:
    """Return rows of a shard by their numbers, in ascending order; reads only the row groups that hold them."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        ends = np.cumsum(sizes)
        groups, inside = np.unique(np.searchsorted(ends, rows, side="right"), return_inverse=True)
        starts = (ends - sizes)[groups]
        kept = np.cumsum([0, *(sizes[group] for group in groups)])[:-1]
        names = stored_names(file.schema_arrow, "traces", columns or SCHEMA.names)
        table = file.read_row_groups(groups.tolist(), columns=names)
    # Taking rows is fast from one chunk and slow from many.
    return as_declared(table.combine_chunks().take(pa.array(rows - starts[inside] + kept[inside])), "traces", columns)


def read_all(path: Path) -> Iterator[pa.Table]:
    """Yield all rows of a shard, a row group at a time."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        for group in range(file.num_row_groups):
            yield as_declared(file.read_row_group(group), "traces")


def decoded(column: pa.ChunkedArray) -> tuple[np.ndarray, list[Any]]:
    """Return a dictionary column as (codes, values)."""
    array = column.unify_dictionaries().combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # no rows at all
        array = array.chunk(0) if array.num_chunks else pa.array([], pa.string()).dictionary_encode()
    return array.indices.to_numpy(zero_copy_only=False), array.dictionary.to_pylist()
