"""What each method has cost: training with all its stages, and the validation samples that choose its best tag."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from forkpipe.parameters.methods import lineage

COLUMNS = {"tokens_trained": "tokens", "rollouts": "rollouts"}
"""Budget -> column of `training_log` that adds up to it."""


def training_budgets(logs: Mapping[str, pa.Table]) -> dict[str, dict[str, int]]:
    """Return tokens_trained and rollouts of each method; the training of its parent counts for it too.

    Args:
        logs: the `training_log` table of each method, and of the methods it was trained from.
    """
    return {
        method: {
            budget: sum(pc.sum(logs[stage].column(column)).as_py() or 0 for stage in lineage(method))
            for budget, column in COLUMNS.items()
        }
        for method in logs
    }


def validation_samples(scores: Mapping[str, pa.Table]) -> dict[str, int]:
    """Return how many samples of each method on validation were drawn with a forced tag.

    Args:
        scores: the `scores` table of each method.
    """
    return {
        method: table.filter((pc.field("split") == "validation") & (pc.field("policy") == "by_tag")).num_rows
        for method, table in scores.items()
    }
