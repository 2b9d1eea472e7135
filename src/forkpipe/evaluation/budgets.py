"""What each method has cost: training with all its stages, and the validation samples that choose its best tag."""

import pyarrow as pa

from forkpipe.evaluation.samples import by_method, by_seed
from forkpipe.parameters.methods import BASE, lineage

COLUMNS = {"tokens_trained": "tokens", "rollouts": "rollouts"}
"""Budget -> column of `training_log` that adds up to it."""


def training_budgets(logs: pa.Table) -> dict[str, dict[str, int]]:
    """Return tokens_trained and rollouts of each method; the training of its parent counts for it too.

    With several training seeds they are the mean over seeds. The base model has cost neither.

    Args:
        logs: the `training_log` tables of all methods in one, with those that a method was trained from.
    """
    import pyarrow.compute as pc  # slow to import, so only where it is used

    tables = by_method(logs)
    return {BASE: dict.fromkeys(COLUMNS, 0)} | {
        method: {
            budget: sum(_a_seed(pc.sum(tables[stage].column(column)).as_py() or 0, table) for stage in lineage(method))
            for budget, column in COLUMNS.items()
        }
        for method, table in tables.items()
    }


def validation_samples(scores: pa.Table) -> dict[str, int]:
    """Return how many samples of each method on validation were drawn with a forced tag, for one training seed.

    Args:
        scores: the `scores` tables of all methods in one.
    """
    import pyarrow.compute as pc  # slow to import, so only where it is used

    drawn = (pc.field("split") == "validation") & (pc.field("policy") == "by_tag")
    return {method: _a_seed(table.filter(drawn).num_rows, table) for method, table in by_method(scores).items()}


def _a_seed(total: int, table: pa.Table) -> int:
    """Return the share of one training seed in a total over all of the table's seeds."""
    return round(total / len(by_seed(table)))
