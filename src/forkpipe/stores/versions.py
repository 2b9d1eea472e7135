"""What files of older versions of a table hold, with the names and types of this version."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from forkpipe.core.errors import InputError
from forkpipe.core.schemas import RENAMED, SCHEMAS

VERSION = b"forkpipe.schema_version"
"""Key of a file's metadata that holds the version of its table."""


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


def stored_names(stored: pa.Schema, name: str, columns: Sequence[str]) -> list[str]:
    """Return the names under which a file of the schema `stored` holds columns of the table `name`, if it does."""
    held = [_index(stored, name, column) for column in columns]
    return [stored.names[index] for index in held if index >= 0]


def renamed_row(row: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a row of an older version of the table `name` with the column names of this one."""
    new_names = {old: new for new, old in RENAMED.get(name, {}).items()}
    return {new_names.get(column, column): value for column, value in row.items()} if new_names else row


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
