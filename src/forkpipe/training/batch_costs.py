"""The matching costs of a batch, in the precisions that a training has."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from forkpipe.core.matching import Costs
from forkpipe.training.costs import CostPasses, CostSettings, evaluating
from forkpipe.training.passes import passes_of
from forkpipe.training.precision import (
    Compute,
    Costed,
    Measurement,
    costs_with_error,
    full_precision,
    has_float32_weights,
)
from forkpipe.training.sharding import gathered_in_float32, is_sharded, missing_passes


@contextmanager
def _full_precision_of_shards(model: Any) -> Iterator[None]:
    with full_precision(model), gathered_in_float32(model):
        yield


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

    Processes that each hold a part of the model take equally many passes in each precision, whatever they have due.

    Args:
        model: without a data-parallel wrapper, whose forward would wait for other processes: they have other numbers of
            problems due.
        batch: of `sequences.SetCollator`.
        due: the rows of the problems.
        tag_ids: (N, K) token ids of the tags.
        known: what was measured before.
    """
    in_float32 = _full_precision_of_shards if is_sharded(model) else full_precision
    fast = accelerator.mixed_precision != "no" and has_float32_weights(model)
    # float32 takes twice the memory.
    double = replace(settings, tokens=max(1, settings.tokens // 2)) if fast else settings

    def computed(settings: CostSettings, exact: bool) -> Compute:
        def compute(rows: list[int]) -> list[Costs]:
            # The prompts of a group are computed together: a batch may be a whole optimiser step.
            places = passes_of(batch["prompt_lengths"][rows].tolist(), settings.tokens) if rows else []
            groups = [[rows[place] for place in group] for group in places]
            planned = [CostPasses.of(model, batch, group, tag_ids, settings) for group in groups]
            costs: dict[int, Costs] = {}
            missing = missing_passes(model, accelerator, sum(map(len, planned)))
            with in_float32(model) if exact else accelerator.autocast():
                for group, passes in zip(groups, planned, strict=True):
                    costs |= zip(group, passes.compute(model), strict=True)
                with evaluating(model), torch.no_grad():
                    for _ in range(missing):
                        model(input_ids=batch["input_ids"][:1, 0, :1], use_cache=False)
            return [costs[row] for row in rows]

        return compute

    return costs_with_error(
        due,
        computed(settings, exact=False) if fast else None,
        computed(double, exact=fast),
        computed(replace(double, shared_prompt=not double.shared_prompt), exact=fast),
        known,
    )
