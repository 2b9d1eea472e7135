"""Anchors: losses that keep completions as they were while the choice of the tag is trained.

The tag and the text share weights. Training the tag alone ruins the text after it, because every later position attends
to the last state of the prompt (docs/decisions/gfpo-scope.md). There are two anchors: the KL to the model before
training, on completions that it wrote itself, and the loss of SSFT on its trace sets.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.core.ids import derived_seed
from forkpipe.core.matching import match_optimal
from forkpipe.core.records import Completion, Request, TraceSet
from forkpipe.models.checkpoint import encoder, end_of, listed_ends
from forkpipe.models.positions import max_positions
from forkpipe.parameters import AnchorSettings
from forkpipe.training.config import SSFTConfig
from forkpipe.training.costs import CostSettings, matching_costs
from forkpipe.training.passes import passes_of
from forkpipe.training.scoring import inner_model, next_tokens, summed_kl, token_nll
from forkpipe.training.sequences import IGNORED, SetCollator, encode_sets, matched_sequences, set_rows

Sequences = list[tuple[list[int], list[int]]]
"""Pairs of token ids: (the prompt with the tag, the text with its end token)."""

AT_ONCE = 16


@dataclass(eq=False)
class Anchor:
    """A loss on sequences that are drawn anew at each step: a mean over the tokens of their texts, nats.

    Args:
        seed: seed of the draws, which depend on it and the step only.
        reference: for kl: the model before training; None if that is the trained model without its adapter.
        bf16: whether the trainer computes in bfloat16, and the reference model too.
    """

    sequences: Sequences
    settings: AnchorSettings
    seed: int
    pad_id: int
    reference: Any = None
    bf16: bool = False

    def __call__(self, model: Any, step: int, backward: Callable[[Tensor], None]) -> Tensor:
        """Return the loss of the last micro-batch; `backward` is called on those before it, to free their activations.

        The value returned covers all micro-batches.
        """
        rng = np.random.default_rng(derived_seed("anchor", self.seed, step))
        size = min(self.settings.sequences, len(self.sequences))
        picked = [self.sequences[i] for i in rng.choice(len(self.sequences), size=size, replace=False)]
        lengths = [len(given) + len(text) for given, text in picked]
        passes = passes_of(lengths, self.settings.pass_tokens, rows=self.settings.micro_batch_size)
        written = sum(len(text) for _, text in picked)
        *parts, last = [[picked[i] for i in rows] for rows in passes]
        earlier = []
        for part in parts:
            loss = self._summed(model, part) / written
            backward(loss)
            earlier.append(loss.detach())
        return sum(earlier, self._summed(model, last) / written)

    def _summed(self, model: Any, sequences: Sequences) -> Tensor:
        """Return the loss of some sequences, summed over the tokens of their texts."""
        batch = pad_sequences(sequences, self.pad_id)
        labels = next_tokens(batch.pop("labels")).to(model.device)
        batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
        chunk = self.settings.logit_chunk
        if self.settings.kind == "replay":
            return token_nll(model, labels, chunk=chunk, use_cache=False, **batch)[0].sum()
        # Move the reference to the trainer's device on first use.
        teacher = self.reference.to(model.device) if self.reference is not None else model
        return summed_kl(
            model, teacher, labels != IGNORED, chunk=chunk, before=self._before(model), use_cache=False, **batch
        )

    @contextmanager
    def _before(self, model: Any) -> Iterator[None]:
        """Within the block the model is as before training, and computes in the trainer's precision."""
        with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            if self.reference is not None:
                yield
            else:
                with inner_model(model).disable_adapter():
                    yield


def make_anchor(
    settings: AnchorSettings,
    model: Any,
    tokenizer: Any,
    sequences: Sequences,
    *,
    seed: int,
    adapter: bool,
    bf16: bool = False,
) -> Anchor:
    """Return the anchor of a model that is about to be trained.

    With `adapter` the reference is the model without its adapter, otherwise a copy of the model. InputError if there
    are no sequences to anchor on.
    """
    if not sequences:
        raise InputError(f"anchor '{settings.kind}' has no sequences, expected trace sets, or completed rollouts")
    reference = None
    if settings.kind == "kl" and not adapter:
        reference = copy.deepcopy(model).eval().requires_grad_(False)
    return Anchor(sequences, settings, seed=seed, pad_id=tokenizer.pad_token_id, reference=reference, bf16=bf16)


def written_sequences(answered: Sequence[tuple[Request, Completion]], tokenizer: Any) -> Sequences:
    """Return the sequences that a checkpoint wrote under forced tags, without those that failed."""
    encode = encoder(tokenizer)
    result: Sequences = []
    for request, completion in answered:
        if completion.finish_reason != "error" and completion.token_ids:
            text = [*completion.token_ids, *end_of(completion, tokenizer)]
            result.append(([*encode(request.prompt), *request.prefix_ids], text))
    return result


def matched_traces(sets: Sequence[TraceSet], model: Any, tokenizer: Any, tags: ForkingTags, template: str) -> Sequences:
    """Return the traces of the sets, each with the tag that it is matched to by the model's costs of whole traces."""
    if not sets:
        return []
    limit = max_positions(model.config)
    config = SSFTConfig(output_dir="", prompt=template, prefix_length=None, max_length=limit, report_to=[])
    encoded = encode_sets(set_rows(sets), tokenizer, tags, config, listed_ends(model.generation_config))
    collate = SetCollator(tag_length=tags.length, pad_id=tokenizer.pad_token_id)
    ids = torch.tensor(tags.token_ids, device=model.device)
    result: Sequences = []
    for start in range(0, len(encoded), AT_ONCE):
        batch = collate([encoded[i] for i in range(start, min(start + AT_ONCE, len(encoded)))])
        batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
        rows = list(range(len(batch["labels"])))
        costs = matching_costs(model, batch, rows, ids, CostSettings(config.matching_tokens, config.logit_chunk))
        chosen = torch.zeros(batch["trace_mask"].shape, dtype=torch.long, device=model.device)
        for row, cost in enumerate(costs):
            tags_of_row = match_optimal(cost)
            chosen[row, : len(tags_of_row)] = torch.from_numpy(tags_of_row).to(model.device)
        matched = matched_sequences(batch, chosen, ids)
        for tokens, labels in zip(matched["input_ids"], matched["trace_labels"], strict=True):
            places = (labels != IGNORED).nonzero()[:, 0]
            first, last = int(places[0]), int(places[-1]) + 1
            result.append((tokens[:first].tolist(), tokens[first:last].tolist()))
    return result


def pad_sequences(sequences: Sequences, pad_id: int) -> dict[str, Tensor]:
    """Return input_ids, attention_mask and labels (B, T), padded on the right; only tokens of the texts have labels."""

    def padded(rows: list[list[int]], value: int) -> Tensor:
        return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)

    whole = [[*given, *written] for given, written in sequences]
    return {
        "input_ids": padded(whole, pad_id),
        "attention_mask": padded([[1] * len(row) for row in whole], 0),
        "labels": padded([[IGNORED] * len(given) + written for given, written in sequences], IGNORED),
    }
