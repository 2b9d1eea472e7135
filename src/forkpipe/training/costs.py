"""The N x M matching costs of SSFT (paper, section on SSFT, step 1): no gradient, in eval mode.

A branch is a tag and the first L tokens of a trace; all branches of a problem have the same prompt. Its keys and values
are computed once (`_branching`), or the prompt is read again for every branch if the model's cache cannot be shared
(`_naive`). Both agree to rounding (tests/training/test_costs.py); what sharing saves grows with the prompt
(benchmarks/ssft).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from forkpipe.core.matching import Costs
from forkpipe.training.scoring import head_is_last, token_nll
from forkpipe.training.sequences import IGNORED


@dataclass(frozen=True)
class CostSettings:
    """How costs are computed; no setting changes them by more than rounding.

    Attributes:
        tokens: tokens per forward pass; a prompt counts for each of its branches, as its keys and values are copied.
        logit_chunk: positions whose logits exist at once.
        shared_prompt: compute each prompt once, if the model's cache allows it.
    """

    tokens: int
    logit_chunk: int
    shared_prompt: bool = True


@dataclass(frozen=True)
class _Branches:
    """R rows of K + L tokens, one per (problem, tag, trace), sorted by problem, then tag, then trace."""

    problem: Tensor  # (R,) row of the batch
    input_ids: Tensor  # (R, K + L - 1): the last token predicts nothing that counts
    predicted: Tensor  # (R, K + L - 1) trace tokens, IGNORED on the tag's own and beyond L
    cells: tuple[Tensor, Tensor, Tensor]  # problem, tag, trace of each row


@dataclass(frozen=True)
class CostPasses:
    """The forward passes that give the costs of some problems of a batch; see `matching_costs`."""

    batch: dict[str, Tensor]  # of the problems that are asked for
    branches: _Branches
    at_once: int  # branches in a pass
    n_tags: int
    settings: CostSettings

    @classmethod
    def of(
        cls, model: Any, batch: Mapping[str, Tensor], rows: list[int], tag_ids: Tensor, settings: CostSettings
    ) -> "CostPasses":
        """Return the passes; arguments are those of `matching_costs`."""
        picked = {name: tensor[rows] for name, tensor in batch.items()}
        branches = _branches(picked, tag_ids)
        tokens = settings.tokens if head_is_last(model) else min(settings.tokens, settings.logit_chunk)
        at_once = max(1, tokens // (_prompt_width(picked) + branches.input_ids.shape[1]))
        return cls(picked, branches, at_once, tag_ids.shape[0], settings)

    def __len__(self) -> int:
        return len(self._parts()) + self.settings.shared_prompt

    def compute(self, model: Any) -> list[Costs]:
        """Return the costs of each problem, (N, M)."""
        with evaluating(model), torch.no_grad():
            cache = _prompt_cache(model, self.batch, self.settings) if self.settings.shared_prompt else None
            nll = torch.cat(
                [
                    _naive(model, self.batch, self.branches, part, self.settings)
                    if cache is None
                    else _branching(model, cache, self.batch, self.branches, part, self.settings)
                    for part in self._parts()
                ]
            )
        means = nll / (self.branches.predicted != IGNORED).sum(dim=1).clamp(min=1)
        problems, most_traces = self.batch["trace_mask"].shape
        table = means.new_zeros(problems, self.n_tags, most_traces)
        table[self.branches.cells] = means
        n_traces = self.batch["trace_mask"].sum(dim=1).tolist()
        return [costs[:, :n].double().cpu().numpy() for costs, n in zip(table, n_traces, strict=True)]

    def _parts(self) -> list[slice]:
        return [slice(i, i + self.at_once) for i in range(0, len(self.branches.problem), self.at_once)]


def matching_costs(
    model: Any, batch: Mapping[str, Tensor], rows: list[int], tag_ids: Tensor, settings: CostSettings
) -> list[Costs]:
    """Return the mean NLL of each trace's first L tokens after each tag, nats per token.

    Args:
        batch: of `sequences.SetCollator`.
        rows: indices of the problems in the batch to compute costs for.
        tag_ids: (N, K) token ids of the tags.

    Returns:
        For each row an (N, M) array, where M is the number of traces of this problem.
    """
    return CostPasses.of(model, batch, rows, tag_ids, settings).compute(model)


def _branches(batch: Mapping[str, Tensor], tag_ids: Tensor) -> _Branches:
    n_tags, tag_length = tag_ids.shape
    labels, starts = batch["labels"], batch["prompt_lengths"] + tag_length
    lengths = (labels != IGNORED).sum(dim=2)  # (P, M)
    limit = batch["prefix_lengths"][:, None]
    kept = torch.where(limit > 0, lengths.minimum(limit), lengths)
    offsets = torch.arange(int(kept.max()), device=labels.device)
    places = (starts[:, None, None] + offsets).clamp(max=labels.shape[2] - 1).expand(*lengths.shape, -1)
    prefixes = batch["input_ids"].gather(2, places)
    targets = torch.where(offsets < kept[:, :, None], prefixes, IGNORED)
    problem, tag, trace = torch.where(batch["trace_mask"][:, None].expand(-1, n_tags, -1))
    silent = torch.full((len(problem), tag_length - 1), IGNORED, device=labels.device)
    return _Branches(
        problem,
        torch.cat([tag_ids[tag], prefixes[problem, trace]], dim=1)[:, :-1],
        torch.cat([silent, targets[problem, trace]], dim=1),
        (problem, tag, trace),
    )


def _prompt_width(batch: Mapping[str, Tensor]) -> int:
    return int(batch["prompt_lengths"].max())


def _naive(model: Any, batch: Mapping[str, Tensor], branches: _Branches, part: slice, settings: CostSettings) -> Tensor:
    """Return the summed NLL of the branches of one part, each with its prompt before it."""
    problem, ids, predicted = branches.problem[part], branches.input_ids[part], branches.predicted[part]
    prompts = batch["prompt_lengths"][problem]
    width = _prompt_width(batch) + ids.shape[1]
    places = prompts[:, None] + torch.arange(ids.shape[1], device=ids.device)
    whole = batch["input_ids"][problem, 0, :1].expand(-1, width).clone()
    inside = min(width, batch["input_ids"].shape[2])
    whole[:, :inside] = batch["input_ids"][problem, 0, :inside]
    whole = whole.scatter(1, places, ids)
    targets = torch.full_like(whole, IGNORED).scatter(1, places, predicted)
    attention = torch.arange(width, device=ids.device) < (prompts + ids.shape[1])[:, None]
    nll, _ = token_nll(
        model, targets, chunk=settings.logit_chunk, input_ids=whole, attention_mask=attention.long(), use_cache=False
    )
    return nll.sum(dim=1)


def _prompt_cache(model: Any, batch: Mapping[str, Tensor], settings: CostSettings) -> DynamicCache | None:
    """Return the keys and values of the prompts, None if the model's kind of cache cannot be shared."""
    width = _prompt_width(batch)
    ids = batch["input_ids"][:, 0, :width]
    mask = (torch.arange(width, device=ids.device) < batch["prompt_lengths"][:, None]).long()
    nothing = torch.full_like(ids, IGNORED)
    _, output = token_nll(
        model, nothing, chunk=settings.logit_chunk, input_ids=ids, attention_mask=mask, use_cache=True
    )
    cache = getattr(output, "past_key_values", None)
    plain = isinstance(cache, DynamicCache) and all(type(layer) is DynamicLayer for layer in cache.layers)
    return cache if plain else None


def _branching(
    model: Any,
    cache: DynamicCache,
    batch: Mapping[str, Tensor],
    branches: _Branches,
    part: slice,
    settings: CostSettings,
) -> Tensor:
    """Return the summed NLL of the branches of one part, given the keys and values of their prompts."""
    problem, ids = branches.problem[part], branches.input_ids[part]
    prompts, width = batch["prompt_lengths"][problem], cache.get_seq_length()
    before = torch.arange(width, device=ids.device) < prompts[:, None]
    nll, _ = token_nll(
        model,
        branches.predicted[part],
        chunk=settings.logit_chunk,
        input_ids=ids,
        attention_mask=torch.cat([before, torch.ones_like(ids, dtype=torch.bool)], dim=1).long(),
        position_ids=prompts[:, None] + torch.arange(ids.shape[1], device=ids.device),
        past_key_values=DynamicCache(
            [(_of_rows(layer.keys, problem), _of_rows(layer.values, problem)) for layer in cache.layers]
        ),
        use_cache=True,
    )
    return nll.sum(dim=1)


def _of_rows(states: Tensor, problem: Tensor) -> Tensor:
    """Return the states (P, ...) of each row's problem."""
    if states.shape[0] == 1:  # saves a copy: the cache makes its own
        return states.expand(len(problem), *states.shape[1:])
    return states[problem]


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Switch to eval mode: dropout adds noise to costs, and with gradient checkpointing train mode has no cache."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
