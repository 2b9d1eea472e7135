"""Tables as Parquet files with the schemas of `core.schemas`, whatever the rows at hand.

A file of an older schema version is read too: columns that it lacks and that may be null are null, renamed columns get
the name that they have now.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, TypeAlias

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from forkpipe.core.schemas import SCHEMAS
from forkpipe.stores import run_id
from forkpipe.stores.versions import as_declared, check_readable, stored_names

_MISFITS = (pa.ArrowException, UnicodeEncodeError)
"""What Arrow raises for a value that does not fit a column's type."""
BATCH_BYTES = 64 * 2**20
"""Bytes to read at a time."""
BATCH_ROWS = 1024
"""Rows to read at a time, where they are short."""
PART_ROWS = 1 << 15
"""Rows of a table in memory that are checked and written at a time."""


class Batches:
    """A table that is produced in batches while it is saved, so that it is never in memory as a whole.

    Args:
        make: returns the batches in order, as tables of the declared schema.
    """

    def __init__(self, make: Callable[[], Iterator[pa.Table]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[pa.Table]:
        return self._make()

    def to_table(self) -> pa.Table:
        """Produce the batches and return the whole table."""
        return pa.concat_tables(self)


class StoredTable:
    """A table in a file that is read batch by batch, so that it need not be in memory as a whole.

    What else a `pyarrow.Table` has, such as `filter` or `to_pandas`, is asked of the whole table. It is then read, and
    not kept.

    Args:
        path: the file.
        name: of the table.
    """

    def __init__(self, path: str, name: str) -> None:
        self.path, self.name = path, name

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        with open_table(self.path) as file:
            return int(file.metadata.num_rows)

    @property
    def column_names(self) -> list[str]:
        """The columns, those of this version."""
        return list(SCHEMAS[self.name].names)

    def batches(self, columns: Sequence[str], rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield some columns, about `BATCH_BYTES` and at most so many rows at a time; InputError as `check_readable`.

        A column of a file of an older version has the name and type of this one.
        """
        with open_table(self.path) as file:
            check_readable(file.schema_arrow, self.name, self.path)
            held = stored_names(file.schema_arrow, self.name, columns)
            for batch in batches_of(file, held, rows):
                yield from as_declared(pa.Table.from_batches([batch]), self.name, columns).to_batches()

    def to_table(self) -> pa.Table:
        """Return the whole table."""
        return read_table(self.path, self.name)

    def __len__(self) -> int:
        return self.num_rows

    def select(self, columns: Sequence[str]) -> pa.Table:
        """Return some columns, without reading the others."""
        schema = pa.schema([SCHEMAS[self.name].field(name) for name in columns])
        return pa.Table.from_batches((batch.cast(schema) for batch in self.batches(columns)), schema)

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column, without reading the others."""
        return self.select([name]).column(0)

    def __getitem__(self, key: Any) -> Any:
        return self.column(key) if isinstance(key, str) else self.to_table()[key]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # what copying and pickling look for
            raise AttributeError(name)
        return getattr(self.to_table(), name)


class Rows:
    """Rows of a table as they come, in memory as Arrow holds them, which is a tenth of what Python needs.

    Args:
        name: of the table.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        """Number of rows."""
        self._tables: list[pa.Table] = []
        self._open: list[Mapping[str, Any]] = []

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows; ValueError as `to_table`, which may come with a later row."""
        self.count += len(rows)
        self._open += rows
        if len(self._open) >= BATCH_ROWS:
            self._close()

    def batches(self) -> Batches:
        """Return the rows so far."""
        self._close()
        return Batches(lambda: iter(self._tables))

    def _close(self) -> None:
        self._tables.append(to_table(self._open, self.name, run_id.current()))
        self._open = []


TableRows: TypeAlias = pa.Table | Sequence[Mapping[str, Any]] | Batches


def write_table(path: str, name: str, data: TableRows) -> None:
    """Write rows of the table `name` to the file at `path`, and fill in `run_id` where it is missing.

    ValueError names the table, row and column that does not fit the schema.
    """
    batches: Iterable[pa.Table] = data if isinstance(data, Batches) else _parts(data, name)
    filesystem, inner_path = fsspec.core.url_to_fs(path)
    filesystem.makedirs(str(PurePosixPath(inner_path).parent), exist_ok=True)
    # The file is renamed at the end, so that nobody reads half a file if this run is killed.
    temporary = f"{inner_path}.tmp"
    with (
        filesystem.open(temporary, "wb") as file,
        pq.ParquetWriter(file, SCHEMAS[name], compression="zstd") as writer,
    ):
        for batch in batches:
            writer.write_table(batch)
    filesystem.mv(temporary, inner_path)


def _parts(data: pa.Table | Sequence[Mapping[str, Any]], name: str) -> Iterator[pa.Table]:
    """Yield rows as tables of the declared schema, those of a table some at a time."""
    current = run_id.current()
    if not isinstance(data, pa.Table) or not data.num_rows:
        yield to_table(data, name, current)
        return
    for start in range(0, data.num_rows, PART_ROWS):
        yield to_table(data.slice(start, PART_ROWS), name, current, start)


def read_table(path: str, name: str) -> pa.Table:
    """Return the whole table `name` from the file at `path`; InputError as `check_readable`."""
    with open_table(path) as file:
        check_readable(file.schema_arrow, name, path)
        return as_declared(pa.Table.from_batches(batches_of(file), file.schema_arrow), name)


def batches_of(
    file: pq.ParquetFile, columns: Sequence[str] | None = None, rows: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Yield a file in batches of about `BATCH_BYTES`, at most `rows` rows each.

    Arrow decodes a batch into one array a column. It cannot do so for texts within lists, as those of trace sets, that
    have more than 2 GiB together, so such a file cannot be read at once.
    """
    groups = [file.metadata.row_group(at) for at in range(file.num_row_groups)]
    read = None if columns is None else {name.split(".")[0] for name in columns}

    def size(group: Any) -> int:
        if read is None:
            return int(group.total_byte_size)
        parts = (group.column(at) for at in range(group.num_columns))
        return sum(part.total_uncompressed_size for part in parts if part.path_in_schema.split(".")[0] in read)

    row_bytes = max((size(group) / group.num_rows for group in groups if group.num_rows), default=1) or 1
    yield from file.iter_batches(batch_size=max(1, min(rows, int(BATCH_BYTES / row_bytes))), columns=columns)


@contextmanager
def open_table(path: str) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file for reading; Arrow itself reads a local file, without a Python file object.

    Arrow's threads free the buffers that they have read. If such a buffer belongs to Python and is freed while the
    interpreter shuts down, the process aborts. For the same reason nothing is read ahead.
    """
    filesystem, inner_path = fsspec.core.url_to_fs(path)
    local = isinstance(filesystem, LocalFileSystem)
    with pa.OSFile(inner_path) if local else filesystem.open(inner_path, "rb") as file:
        yield pq.ParquetFile(file, pre_buffer=False)


def filled(table: pa.Table, column: str, value: Any) -> pa.Table:
    """Return a table with one value in all rows of a column; a table without this column is returned as it is."""
    index = table.schema.get_field_index(column)
    if index < 0:
        return table
    field = table.schema.field(index)
    return table.set_column(index, field, pa.array([value] * len(table), field.type))


def to_table(data: pa.Table | Sequence[Mapping[str, Any]], name: str, current_run: str, first: int = 0) -> pa.Table:
    """Return rows as a table of the declared schema; ValueError names the table, row and column that does not fit.

    Args:
        first: number of the first row.
    """
    schema = SCHEMAS[name]
    rows = data.to_pylist() if isinstance(data, pa.Table) else data
    known = set(schema.names)
    columns: dict[str, list[Any]] = {column: [] for column in schema.names}
    for number, row in enumerate(rows, first):
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
    return pa.table(
        [_array(values, schema.field(column), name, first) for column, values in columns.items()], schema=schema
    )


def _array(values: list[Any], field: pa.Field, name: str, first: int) -> pa.Array:
    try:
        return pa.array(values, type=field.type)
    except _MISFITS:
        for number, value in enumerate(values, first):
            try:
                pa.array([value], type=field.type)
            except _MISFITS as error:
                raise ValueError(
                    f"table {name} row {number}: column '{field.name}' is {str(value)[:80]!r}, expected {field.type}"
                ) from error
        raise
