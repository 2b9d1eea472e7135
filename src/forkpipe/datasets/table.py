"""The table dataset: Parquet with a declared Arrow schema, enforced when saved.

pandas' Parquet dataset guesses types from the values at hand (an empty column becomes null, int with a gap becomes
float) and its previews of list columns break kedro viz. Here a table has the schema of `core.schemas`, whatever the
rows, and a preview reads the first rows only.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, TypeAlias

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from forkpipe.core.schemas import SCHEMAS, VOLATILE
from forkpipe.stores import run_id

MISFITS = (pa.ArrowException, UnicodeEncodeError)
"""What Arrow raises for a value that does not fit a column's type."""


class Batches:
    """A table that is made piece by piece while it is saved, so that it is never in memory as a whole.

    Args:
        make: returns the pieces, of the declared schema, in order.
    """

    def __init__(self, make: Callable[[], Iterator[pa.Table]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[pa.Table]:
        return self._make()


Rows: TypeAlias = pa.Table | Sequence[Mapping[str, Any]] | Batches


class TableDataset(AbstractDataset[Rows, pa.Table]):
    """A public table as one Parquet file; loads as a pyarrow.Table.

    Catalog entry::

        problems:
          type: forkpipe.datasets.table.TableDataset
          filepath: data/base/seed0/03_primary/problems.parquet
          table: problems

    Args:
        filepath: local path or any URL that fsspec knows.
        table: name of a schema in `core.schemas`; of a dotted name the last word counts ("ssft.scores").
        metadata: ignored by Kedro, used by plugins.
    """

    def __init__(self, *, filepath: str, table: str, metadata: dict[str, Any] | None = None) -> None:
        name = table.rsplit(".", 1)[-1]
        if name not in SCHEMAS:
            raise ValueError(f"table '{table}' has no schema, expected one of: {', '.join(SCHEMAS)}")
        self._filepath = filepath
        self._table = name
        self.metadata = metadata

    def load(self) -> pa.Table:
        """Return the whole table; its schema is checked, so that a file of an older version is not misread."""
        with self._open() as file:
            table = pq.ParquetFile(file, pre_buffer=False).read()
        expected = SCHEMAS[self._table]
        found = (table.schema.metadata or {}).get(b"forkpipe.schema_version")
        wanted = (expected.metadata or {})[b"forkpipe.schema_version"]
        if found != wanted:
            raise ValueError(
                f"{self._filepath}: schema version {found.decode() if found else 'none'} of table {self._table}, "
                f"expected {wanted.decode()}: run the pipeline that makes it again"
            )
        return table

    def save(self, data: Rows) -> None:
        """Check the rows against the schema and replace the file; `run_id` is filled in where it is missing."""
        pieces: Iterable[pa.Table] = (
            data if isinstance(data, Batches) else [to_table(data, self._table, run_id.current())]
        )
        filesystem, path = fsspec.core.url_to_fs(self._filepath)
        filesystem.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
        # A reader, or a run that is killed here, never sees half a file.
        temporary = f"{path}.tmp"
        with (
            filesystem.open(temporary, "wb") as file,
            pq.ParquetWriter(file, SCHEMAS[self._table], compression="zstd") as writer,
        ):
            for piece in pieces:
                writer.write_table(piece)
        filesystem.mv(temporary, path)

    def content_digest(self) -> str:
        """Return a digest of the rows, however the file is written; columns of times and runs are no content."""
        total = hashlib.sha256()
        for batch in self._batches():
            for row in batch.to_pylist():
                total.update(json.dumps(row, sort_keys=True, default=str).encode() + b"\n")
        return total.hexdigest()[:16]

    def content_keys(self) -> str:
        """Return a digest of the set of requests that a table of traces stands for, nothing for other tables."""
        if "request_id" not in SCHEMAS[self._table].names:
            return ""
        keys = sorted({key for batch in self._batches() for key in batch.column("request_id").to_pylist()})
        return hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]

    def _batches(self) -> Iterator[pa.RecordBatch]:
        kept = [name for name in SCHEMAS[self._table].names if name not in VOLATILE]
        with self._open() as file:
            yield from pq.ParquetFile(file, pre_buffer=False).iter_batches(batch_size=4096, columns=kept)

    def _open(self) -> Any:
        """Open the file for reading, without Python in between where it is local.

        Arrow's threads free what they have read; a buffer of Python's that is freed while the interpreter ends
        aborts the process. For the same reason nothing is read ahead.
        """
        filesystem, path = fsspec.core.url_to_fs(self._filepath)
        return pa.OSFile(path) if isinstance(filesystem, LocalFileSystem) else filesystem.open(path, "rb")

    def preview(self, nrows: int = 5) -> TablePreview:
        """Return the first rows as JSON-safe cells, for kedro viz."""
        with self._open() as file:
            batch = next(pq.ParquetFile(file, pre_buffer=False).iter_batches(batch_size=nrows), None)
        rows = batch.to_pylist() if batch is not None else []
        columns = SCHEMAS[self._table].names
        return TablePreview(
            {
                "index": list(range(len(rows))),
                "columns": columns,
                "data": [[_cell(row.get(column)) for column in columns] for row in rows],
            }
        )

    def _exists(self) -> bool:
        filesystem, path = fsspec.core.url_to_fs(self._filepath)
        return bool(filesystem.exists(path))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "table": self._table}


def to_table(data: pa.Table | Sequence[Mapping[str, Any]], name: str, current_run: str) -> pa.Table:
    """Return rows as a table of the declared schema; ValueError naming table, row and column where they do not fit."""
    schema = SCHEMAS[name]
    rows = data.to_pylist() if isinstance(data, pa.Table) else data
    known = set(schema.names)
    columns: dict[str, list[Any]] = {column: [] for column in schema.names}
    for number, row in enumerate(rows):
        if unknown := row.keys() - known:
            raise ValueError(f"table {name} row {number}: columns {sorted(unknown)} are not in its schema")
        for column, values in columns.items():
            value = row.get(column)
            if value is None and column == "run_id":
                value = current_run
            if value is None and not schema.field(column).nullable:
                raise ValueError(
                    f"table {name} row {number}: column '{column}' has no value, expected {schema.field(column).type}"
                )
            values.append(value)
    return pa.table([_array(values, schema.field(column), name) for column, values in columns.items()], schema=schema)


def _array(values: list[Any], field: pa.Field, name: str) -> pa.Array:
    try:
        return pa.array(values, type=field.type)
    except MISFITS:
        for number, value in enumerate(values):
            try:
                pa.array([value], type=field.type)
            except MISFITS as error:
                raise ValueError(
                    f"table {name} row {number}: column '{field.name}' is {str(value)[:80]!r}, expected {field.type}"
                ) from error
        raise


def _cell(value: Any, limit: int = 200) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= limit else text[:limit] + "…"
