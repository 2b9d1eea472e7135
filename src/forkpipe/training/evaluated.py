"""An evaluation of SSFT: its loss and its use of tags, whatever the batches and processes that computed them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from forkpipe.core.forking import ForkingTags
from forkpipe.core.statistics import mutual_information_bits, purity
from forkpipe.training.matchings import Matchings
from forkpipe.training.passes import next_token_nll, part_of, sequences_in_passes

Sums = tuple[float, float, float, float]
"""Of one problem: NLL of its traces (nats), their tokens, NLL of its tags, their tokens."""


@dataclass(eq=False)
class Evaluation:
    """Collects the matchings of an evaluation, and each problem's sums.

    Batches and processes may repeat a problem to fill up; it counts once.
    """

    matchings: Matchings
    sums: dict[int, Sums] = field(default_factory=dict)

    def add(self, problems: Sequence[int], row_of: Tensor, sums: Tensor) -> Tensor:
        """Add the sequences of a batch; returns their sums (4,), see `Sums`.

        Args:
            problems: (P,) the index of each problem of the batch.
            row_of: (S,) for each sequence the row of its problem in `problems`.
            sums: (S, 4), see `Sums`.
        """
        by_row = torch.zeros(len(problems), sums.shape[1], dtype=torch.float64).index_add(0, row_of.cpu(), sums.cpu())
        self.sums |= {index: tuple(row) for index, row in zip(problems, by_row.tolist(), strict=True)}
        return by_row.sum(dim=0)


def loss_of(processes: Sequence[Mapping[int, Sums]], tag_weight: float) -> float:
    """Return the set loss over the distinct problems of all processes: sums of NLL divided by numbers of tokens.

    >>> loss_of([{0: (6.0, 3, 2.0, 1)}, {0: (6.0, 3, 2.0, 1), 1: (1.0, 4, 4.0, 1)}], tag_weight=0.5)
    2.5
    """
    distinct: dict[int, Sums] = {}
    for sums in processes:
        distinct |= sums
    traces, trace_tokens, tags, tag_tokens = (sum(column) for column in zip(*distinct.values(), strict=True))
    return traces / trace_tokens + tag_weight * tags / tag_tokens


def token_sums(model: Any, sequences: dict[str, Tensor], pass_tokens: int | None, chunk: int) -> Tensor:
    """Return the sums of each sequence of `sequences.matched_sequences`, (S, 4) in float64, see `Sums`."""
    result = torch.zeros(len(sequences["input_ids"]), 4, dtype=torch.float64)
    for rows in sequences_in_passes(sequences, pass_tokens):
        nll, *masks, _ = next_token_nll(model, part_of(sequences, rows), chunk)
        columns = [values for mask in masks for values in (torch.where(mask, nll, torch.zeros_like(nll)), mask)]
        result[rows] = torch.stack([values.cpu().double().sum(dim=1) for values in columns], dim=1)
    return result


def tag_metrics(matchings: Matchings, tags: ForkingTags) -> dict[str, float]:
    """Return how the logged traces are spread over the tags: `usage_<i>`, the share of tag i (from 1); where modes are
    known also `tag_purity` and `tag_information_bits` (mutual information of tag and mode)."""
    usage = np.bincount(np.array([row["tag"] for row in matchings.log], dtype=np.int64), minlength=tags.n)
    result = {f"usage_{i + 1}": float(share) for i, share in enumerate(usage / max(usage.sum(), 1))}
    if counts := matchings.counts():
        table = np.stack(list(counts.values()), axis=1)  # (tags, modes)
        result |= {"tag_purity": purity(table), "tag_information_bits": mutual_information_bits(table)}
    return result
