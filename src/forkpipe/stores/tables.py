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

from forkpipe.core.errors import InputError
from forkpipe.core.schemas import RENAMED, SCHEMAS
from forkpipe.stores import run_id

VERSION = b"forkpipe.schema_version"
"""Key of a file's metadata that holds the version of its table."""
_MISFITS = (pa.ArrowException, UnicodeEncodeError)
"""What Arrow raises for a value that does not fit a column's type."""
BATCH_BYTES = 64 * 2**20
"""Bytes to read at a time."""
BATCH_ROWS = 1024
"""Rows to read at a time, where they are short."""


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

    What else a `pyarrow.Table` has, such as `column` or `to_pandas`, is asked of the whole table, which is then read
    and not kept.

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

    def __getitem__(self, key: Any) -> Any:
        return self.to_table()[key]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # what copying and pickling look for
            raise AttributeError(name)
        return getattr(self.to_table(), name)


Rows: TypeAlias = pa.Table | Sequence[Mapping[str, Any]] | Batches


def write_table(path: str, name: str, data: Rows) -> None:
    """Write rows of the table `name` to the file at `path`, and fill in `run_id` where it is missing.

    ValueError names the table, row and column that does not fit the schema.
    """
    batches: Iterable[pa.Table] = data if isinstance(data, Batches) else [to_table(data, name, run_id.current())]
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


def check_readable(stored: pa.Schema, name: str, path: str) -> None:
    """Raise `InputError` unless a file of the schema `stored` can be read as the table `name`.

    It can where its version is this one or an older one, and it has every required column with its type. Columns that
    no longer belong to the table are left out when it is read.
    """
    version, declared = _version(stored), _version(SCHEMAS[name])
    where = f"{path}: schema version {version or 'none'} of table {name}, expected {declared}"
    if not version or version > declared:
        raise InputError(f"{where}: it was written by another version of forkpipe")
    for field in SCHEMAS[name]:
        held = _index(stored, name, field.name)
        if held < 0 and not field.nullable:
            raise InputError(f"{where}: column '{field.name}' is missing, make the table again")
        if held >= 0 and not _holds(stored.field(held), field):
            described = _described(stored.field(held))
            raise InputError(f"{where}: column '{field.name}' is {described}, expected {_described(field)}")


def as_declared(table: pa.Table, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Return columns of a table that `check_readable` let pass, with the names and types of this version.

    Args:
        columns: which columns to return, all of the schema unless given.
    """
    schema = SCHEMAS[name]
    if columns is not None:
        schema = pa.schema([schema.field(column) for column in columns], schema.metadata)
    if table.schema.equals(schema, check_metadata=True):
        return table
    arrays, fields = [], []
    for field in schema:
        held = _index(table.schema, name, field.name)
        array = pa.nulls(len(table), field.type) if held < 0 else table.column(held)
        encoded = pa.types.is_dictionary(array.type)
        arrays.append(array if encoded or array.type == field.type else array.cast(field.type))
        fields.append(field.with_type(array.type) if encoded else field)
    return pa.table(arrays, pa.schema(fields, schema.metadata))


def filled(table: pa.Table, column: str, value: Any) -> pa.Table:
    """Return a table with one value in all rows of a column; a table without this column is returned as it is."""
    index = table.schema.get_field_index(column)
    if index < 0:
        return table
    field = table.schema.field(index)
    return table.set_column(index, field, pa.array([value] * len(table), field.type))


def stored_names(stored: pa.Schema, name: str, columns: Sequence[str]) -> list[str]:
    """Return the names under which a file of the schema `stored` holds columns of the table `name`, if it does."""
    held = [_index(stored, name, column) for column in columns]
    return [stored.names[index] for index in held if index >= 0]


def renamed_row(row: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a row of an older version of the table `name` with the column names of this one."""
    new_names = {old: new for new, old in RENAMED.get(name, {}).items()}
    return {new_names.get(column, column): value for column, value in row.items()} if new_names else row


def to_table(data: pa.Table | Sequence[Mapping[str, Any]], name: str, current_run: str) -> pa.Table:
    """Return rows as a table of the declared schema; ValueError names the table, row and column that does not fit."""
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
    except _MISFITS:
        for number, value in enumerate(values):
            try:
                pa.array([value], type=field.type)
            except _MISFITS as error:
                raise ValueError(
                    f"table {name} row {number}: column '{field.name}' is {str(value)[:80]!r}, expected {field.type}"
                ) from error
        raise


def _version(schema: pa.Schema) -> int:
    """Return the version of a table's schema, 0 where it names none."""
    text = (schema.metadata or {}).get(VERSION, b"")
    return int(text) if text.isdigit() else 0


def _index(stored: pa.Schema, name: str, column: str) -> int:
    """Return the index of a column in a file, under its present or its former name; -1 if the file lacks it."""
    index = stored.get_field_index(column)
    older = RENAMED.get(name, {}).get(column)
    return stored.get_field_index(older) if index < 0 and older else index


def _holds(stored: pa.Field, declared: pa.Field) -> bool:
    """Whether every value of a stored column is one of the declared column too."""
    if stored.nullable and not declared.nullable:
        return False
    old, new = stored.type, declared.type
    if pa.types.is_list(old) and pa.types.is_list(new):
        return _holds(old.value_field, new.value_field)
    if pa.types.is_struct(old) and pa.types.is_struct(new):
        held = {field.name: field for field in old}
        return all(_holds(held[field.name], field) if field.name in held else field.nullable for field in new)
    return bool(old == new)


def _described(field: pa.Field) -> str:
    return f"{field.type}{'' if field.nullable else ' not null'}"
