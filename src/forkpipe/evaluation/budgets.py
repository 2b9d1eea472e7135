"""What each method has cost: training with all its stages, and the validation samples that choose its best tag."""

import pyarrow as pa

from forkpipe.evaluation.samples import by_method
from forkpipe.parameters.methods import BASE, lineage

COLUMNS = {"tokens_trained": "tokens", "rollouts": "rollouts"}
"""Budget -> column of `training_log` that adds up to it."""


def training_budgets(logs: pa.Table) -> dict[str, dict[str, int]]:
    """Return tokens_trained and rollouts of each method; the training of its parent counts for it too.

    The base model has cost neither.

    Args:
        logs: the `training_log` tables of all methods in one, with those that a method was trained from.
    """
    import pyarrow.compute as pc  # slow to import, so only where it is used

    tables = by_method(logs)
    return {BASE: dict.fromkeys(COLUMNS, 0)} | {
        method: {
            budget: sum(pc.sum(tables[stage].column(column)).as_py() or 0 for stage in lineage(method))
            for budget, column in COLUMNS.items()
        }
        for method in tables
    }


def validation_samples(scores: pa.Table) -> dict[str, int]:
    """Return how many samples of each method on validation were drawn with a forced tag.

    Args:
        scores: the `scores` tables of all methods in one.
    """
    import pyarrow.compute as pc  # slow to import, so only where it is used

    drawn = (pc.field("split") == "validation") & (pc.field("policy") == "by_tag")
    return {method: table.filter(drawn).num_rows for method, table in by_method(scores).items()}
