"""Nodes of several stages."""

from typing import Any

import pyarrow as pa


def concatenate(**tables: Any) -> Any:
    """Return the rows of all tables in one."""
    return pa.concat_tables(list(tables.values()))


def concatenate_methods(**tables: Any) -> dict[str, Any]:
    """Return one table a kind, from the tables of all methods (see `inputs.per_method`)."""
    kinds: dict[str, list[Any]] = {}
    for name, table in tables.items():
        kinds.setdefault(name.split("__")[0], []).append(table)
    return {kind: pa.concat_tables(parts) for kind, parts in kinds.items()}
