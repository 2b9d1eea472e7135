"""The matching costs of a batch, in the precisions that a training has."""

from dataclasses import replace
from typing import Any

from accelerate import Accelerator
from torch import Tensor

from forkpipe.core.matching import Costs
from forkpipe.training.costs import CostSettings, matching_costs
from forkpipe.training.passes import passes_of
from forkpipe.training.precision import (
    Compute,
    Costed,
    Measurement,
    costs_with_error,
    full_precision,
    has_float32_weights,
)


def reading_whole(batch: dict[str, Tensor], rows: list[int]) -> dict[str, Tensor]:
    """Return a batch in which the matching reads whole traces of the problems in these rows."""
    if not rows:
        return batch
    lengths = batch["prefix_lengths"].clone()
    lengths[rows] = 0
    return {**batch, "prefix_lengths": lengths}


def batch_costs(
    model: Any,
    batch: dict[str, Tensor],
    due: list[int],
    tag_ids: Tensor,
    settings: CostSettings,
    known: Measurement,
    accelerator: Accelerator,
) -> list[Costed]:
    """Return the costs of problems of a batch, with their errors.

    Args:
        model: without a data-parallel wrapper, whose forward would wait for other processes: they have other numbers of
            problems due.
        batch: of `sequences.SetCollator`.
        due: the rows of the problems.
        tag_ids: (N, K) token ids of the tags.
        known: what was measured before.
    """
    fast = accelerator.mixed_precision != "no" and has_float32_weights(model)
    # float32 takes twice the memory.
    double = replace(settings, tokens=max(1, settings.tokens // 2)) if fast else settings

    def computed(settings: CostSettings, exact: bool) -> Compute:
        def compute(rows: list[int]) -> list[Costs]:
            costs: dict[int, Costs] = {}
            # The prompts of a group are computed together: a batch may be a whole optimiser step.
            groups = passes_of(batch["prompt_lengths"][rows].tolist(), settings.tokens)
            with full_precision(model) if exact else accelerator.autocast():
                for group in ([rows[place] for place in places] for places in groups):
                    costs |= zip(group, matching_costs(model, batch, group, tag_ids, settings), strict=True)
            return [costs[row] for row in rows]

        return compute

    return costs_with_error(
        due,
        computed(settings, exact=False) if fast else None,
        computed(double, exact=fast),
        computed(replace(double, shared_prompt=not double.shared_prompt), exact=fast),
        known,
    )
