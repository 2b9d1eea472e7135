"""The Arrow schemas of the public tables, made from the row types and versions of `core.rows`.

`stores.tables` enforces them when a table is saved. A file of an older version stays readable where a change adds
columns that may be null, or renames columns (see `RENAMED`).
"""

import types
from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict

import pyarrow as pa

from forkpipe.core.rows import TABLES

_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def _field(name: str, hint: Any) -> pa.Field:
    """Return the field of a column whose values have this type; a union with None makes it nullable."""
    if get_origin(hint) is types.UnionType:
        (hint,) = (kind for kind in get_args(hint) if kind is not type(None))
        return _field(name, hint).with_nullable(True)
    if is_typeddict(hint):
        kind = pa.struct([_field(*item) for item in get_type_hints(hint).items()])
    elif get_origin(hint) is list:
        (element,) = get_args(hint)
        kind = pa.list_(_TYPES[element] if element in _TYPES else _field("element", element))
    else:
        kind = pa.string() if get_origin(hint) is Literal else _TYPES[hint]
    return pa.field(name, kind, nullable=False)


def _schema(name: str, version: int, row: type) -> pa.Schema:
    """Return the schema of a table: its required columns, then those that may be null, then `run_id`."""
    hints = get_type_hints(row)
    run_id = _field("run_id", hints.pop("run_id"))
    fields = sorted((_field(*item) for item in hints.items()), key=lambda field: bool(field.nullable))
    return pa.schema([*fields, run_id], metadata={"forkpipe.table": name, "forkpipe.schema_version": str(version)})


SCHEMAS = {name: _schema(name, version, row) for name, (version, row) in TABLES.items()}

RENAMED = {"generations": {"policy": "protocol"}, "scores": {"policy": "protocol"}}
"""Columns of a table that had another name in an older version: {table: {name now: name before}}."""

VOLATILE = ("run_id", "seconds", "matching_seconds")
"""Columns that say when and how fast a row was made: two tables that differ in these alone hold the same."""


def schema_version(name: str) -> int:
    """Return the version of the table `name`."""
    return TABLES[name][0]
