"""An evaluation of SSFT: its loss and its use of tags, whatever the batches and processes that computed them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import Tensor

from forkpipe.core.forking import ForkingTags
from forkpipe.core.statistics import mutual_information_bits, purity
from forkpipe.training.config import SSFTConfig
from forkpipe.training.matchings import Matchings, SetNames, names_of
from forkpipe.training.passes import next_token_nll, part_of
from forkpipe.training.sequences import encode_sets
from forkpipe.training.trainer import TagTrainer

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


def token_sums(model: Any, sequences: dict[str, Tensor], passes: Sequence[Sequence[int]], chunk: int) -> Tensor:
    """Return the sums of each sequence of `sequences.matched_sequences`, (S, 4) in float64, see `Sums`.

    Args:
        passes: of `passes.sequences_in_passes`.
    """
    result = torch.zeros(len(sequences["input_ids"]), 4, dtype=torch.float64)
    for rows in passes:
        nll, *masks, _ = next_token_nll(model, part_of(sequences, rows), chunk)
        columns = [values for mask in masks for values in (torch.where(mask, nll, torch.zeros_like(nll)), mask)]
        result[list(rows)] = torch.stack([values.cpu().double().sum(dim=1) for values in columns], dim=1)[: len(rows)]
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


class EvaluatesSets(TagTrainer, ABC):
    """The part of SSFTTrainer that evaluates."""

    args: SSFTConfig
    names: dict[str, list[SetNames]]
    _ends: frozenset[int]
    _evaluation: Evaluation | None

    def evaluate(self, eval_dataset: Any = None, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Evaluate on trace sets; each problem is matched anew, and the matching is not remembered."""
        before = self.names.get("eval", [])
        if eval_dataset is not None:
            eval_dataset = encode_sets(eval_dataset, self.processing_class, self.tags, self.args, self._ends)
            self.names["eval"] = names_of(eval_dataset, self.args.mode_field)
        try:
            metrics: dict[str, float] = super().evaluate(eval_dataset, *args, **kwargs)
        finally:
            self.names["eval"] = before
        return metrics

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> Any:
        """Compute the loss over all distinct problems, and how the tags are used: their shares of traces, purity, and
        information on the mode."""
        evaluation = self._evaluation = Evaluation(self._fresh_matchings("eval"))
        try:
            output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        finally:
            self._evaluation = None
        processes = gather_object([evaluation.sums]) if self.accelerator.num_processes > 1 else [evaluation.sums]
        # The base class's own is a mean over batches: it changes with their size and with the number of processes.
        output.metrics[f"{metric_key_prefix}_loss"] = loss_of(processes, self.args.tag_weight)
        for name, value in tag_metrics(evaluation.matchings, self.tags).items():
            output.metrics[f"{metric_key_prefix}_{name}"] = value
        return output

    def prediction_step(
        self, model: Any, inputs: dict[str, Tensor], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[Tensor, None, None]:
        """Return the set loss of a batch; logits are never returned."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            if self._evaluation is None:
                return self.compute_loss(model, inputs).detach(), None, None
            sequences = self._matched(model, inputs)
            sums = token_sums(model, sequences, self._passes(model, sequences), self.args.logit_chunk)
        row_of = inputs["trace_mask"].nonzero()[:, 0]
        traces, tokens, tags, tag_tokens = self._evaluation.add(inputs["problem_index"].tolist(), row_of, sums)
        loss = traces / tokens + self.args.tag_weight * tags / tag_tokens
        return loss.to(inputs["input_ids"].device, torch.float32), None, None

    @abstractmethod
    def _fresh_matchings(self, split: str) -> Matchings:
        """Return matchings of a split that hold nothing yet."""

    @abstractmethod
    def _matched(self, model: Any, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the sequences of a batch, each trace under the tag that it is matched to."""

    @abstractmethod
    def _passes(self, model: Any, sequences: dict[str, Tensor], whole: bool = False) -> list[list[int]]:
        """Return the rows of each pass over the sequences."""
