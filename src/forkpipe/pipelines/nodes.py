"""Nodes of several stages."""

from typing import Any

import pyarrow as pa

from forkpipe.parameters.comparison import without_seed
from forkpipe.stores.tables import filled


def concatenate(**tables: Any) -> Any:
    """Return the rows of all tables in one."""
    return pa.concat_tables(list(tables.values()))


def concatenate_methods(seed: int | None = None, **tables: Any) -> dict[str, Any]:
    """Return one table a kind, from the tables of all methods and seeds (see `inputs.per_method`).

    Args:
        seed: of the run, that of a table without a seed in its name. Rows get the seed in their column `training_seed`.
    """
    kinds: dict[str, list[Any]] = {}
    for name, table in tables.items():
        kind, _, method = name.partition("__")
        further = without_seed(method)[1]
        kinds.setdefault(kind, []).append(filled(table, "training_seed", seed if further is None else further))
    return {kind: pa.concat_tables(parts) for kind, parts in kinds.items()}
