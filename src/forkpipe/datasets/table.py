"""The table dataset: a Parquet file with a declared Arrow schema, which is checked when rows are saved.

pandas.ParquetDataset infers types from the values (an empty column becomes null, int with a gap becomes float), and its
previews of list columns break kedro viz. A TableDataset has the schema of `core.schemas`, whatever the rows, and a
preview reads only the first rows.
"""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import fsspec
import pyarrow as pa
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from forkpipe.core.ids import digest
from forkpipe.core.schemas import SCHEMAS, VOLATILE
from forkpipe.stores.tables import StoredTable, TableRows, batches_of, open_table, read_table, write_table
from forkpipe.stores.versions import as_declared


class TableDataset(AbstractDataset[TableRows, pa.Table]):
    """A public table as one Parquet file; loads as a pyarrow.Table.

    Args:
        filepath: local path or any URL that fsspec knows.
        table: name of a schema in `core.schemas`; of a dotted name, only the last part counts ("ssft.scores").
        metadata: ignored by Kedro, used by plugins.
    """

    batch_rows = 4096
    """Rows in memory at a time for a digest."""

    def __init__(self, *, filepath: str, table: str, metadata: dict[str, Any] | None = None) -> None:
        name = table.rsplit(".", 1)[-1]
        if name not in SCHEMAS:
            raise ValueError(f"table '{table}' has no schema, expected one of: {', '.join(SCHEMAS)}")
        self._filepath = filepath
        self._table = name
        self.metadata = metadata

    def load(self) -> pa.Table:
        """Return the whole table; a file of an older version gets the columns of this one, see `stores.tables`."""
        return read_table(self._filepath, self._table)

    def save(self, data: TableRows) -> None:
        """Check the rows against the schema and replace the file; missing `run_id`s are filled in."""
        write_table(self._filepath, self._table, data)

    def content_digest(self) -> str:
        """Return a digest of the rows, without the columns that hold times and run ids."""
        rows = (row for batch in self._batches() for row in batch.to_pylist())
        return digest(json.dumps(row, sort_keys=True, default=str).encode() + b"\n" for row in rows)

    def content_keys(self) -> str:
        """Return a digest of the request ids of a table of traces, an empty text for other tables."""
        if "request_id" not in SCHEMAS[self._table].names:
            return ""
        keys = sorted({key for batch in self._batches() for key in batch.column("request_id").to_pylist()})
        return digest(["\n".join(keys).encode()])

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the columns that the file has: a column that is added to the schema later changes no digest."""
        with open_table(self._filepath) as file:
            kept = [name for name in file.schema_arrow.names if name not in VOLATILE]
            yield from batches_of(file, kept, self.batch_rows)

    def preview(self, nrows: int = 5) -> TablePreview:
        """Return the first rows as JSON-safe cells, for kedro viz."""
        with open_table(self._filepath) as file:
            first = pa.Table.from_batches(islice(file.iter_batches(batch_size=nrows), 1), file.schema_arrow)
        rows = as_declared(first, self._table).to_pylist()
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


class StoredTableDataset(TableDataset):
    """A table too large for memory: loads as a `StoredTable`, which is read batch by batch."""

    batch_rows = 64

    def load(self) -> StoredTable:
        """Return the table, of which nothing is read yet."""
        return StoredTable(self._filepath, self._table)


def _cell(value: Any, limit: int = 200) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= limit else text[:limit] + "…"
