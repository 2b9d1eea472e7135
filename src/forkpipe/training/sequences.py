"""From trace sets to tensors: encoding once, then batches of whole problems.

A sequence is prompt, tag, trace, end token. The tag is not known before the matching, so its place is left open and
filled per batch. Shapes: P problems, M traces (the most in the batch), T tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from forkpipe.core.errors import InputError
from forkpipe.core.prompts import render
from forkpipe.core.records import TraceSet
from forkpipe.training.checkpoint import encoder, render_prompt

IGNORED = -100
"""Label of positions that are not predicted, as everywhere in transformers."""


@dataclass(frozen=True, slots=True)
class EncodedSet:
    """One problem: token ids of its prompt and of each trace, end token included."""

    index: int
    problem_id: str
    trace_ids: tuple[str, ...]
    teachers: tuple[str, ...]
    prompt: tuple[int, ...]
    traces: tuple[tuple[int, ...], ...]


def encode_sets(
    sets: Sequence[TraceSet], tokenizer: Any, template: str, *, tag_length: int, max_length: int
) -> list[EncodedSet]:
    """Encode trace sets; InputError naming the trace if a sequence is longer than `max_length` tokens."""
    encode = encoder(tokenizer)
    encoded = []
    for index, item in enumerate(sets):
        prompt = tuple(encode(render_prompt(tokenizer, render(template, item.problem))))
        # A set has no order; one of their own makes ties in the matching (equal prefixes) fall alike for every order.
        members = sorted(item.traces, key=lambda trace: trace.trace_id)
        traces = tuple((*encode(trace.text), tokenizer.eos_token_id) for trace in members)
        for trace, ids in zip(members, traces, strict=True):
            length = len(prompt) + tag_length + len(ids)
            if length > max_length:
                raise InputError(
                    f"trace {trace.trace_id} of problem {item.problem_id} has {length} tokens with its prompt, "
                    f"expected at most supervised.max_length, {max_length}"
                )
        encoded.append(
            EncodedSet(
                index,
                item.problem_id,
                tuple(trace.trace_id for trace in members),
                tuple(trace.teacher for trace in members),
                prompt,
                traces,
            )
        )
    return encoded


class SetCollator:
    """Pads whole problems to one batch: a tensor `labels` is what transformers counts its items by.

    Returns input_ids, attention_mask, labels (P, M, T); trace_mask (P, M), false where a problem has fewer than M
    traces; prompt_lengths (P,); problem_index (P,). The tag's place holds padding.
    """

    def __init__(self, *, tag_length: int, pad_id: int) -> None:
        self.tag_length = tag_length
        self.pad_id = pad_id

    def __call__(self, items: Sequence[EncodedSet]) -> dict[str, Tensor]:
        """Collate P problems."""
        n_traces = max(len(item.traces) for item in items)
        length = max(len(item.prompt) + self.tag_length + len(trace) for item in items for trace in item.traces)
        input_ids = torch.full((len(items), n_traces, length), self.pad_id)
        labels = torch.full_like(input_ids, IGNORED)
        attention_mask = torch.zeros_like(input_ids)
        trace_mask = torch.zeros(len(items), n_traces, dtype=torch.bool)
        for row, item in enumerate(items):
            start = len(item.prompt) + self.tag_length
            for column, trace in enumerate(item.traces):
                end = start + len(trace)
                input_ids[row, column, : len(item.prompt)] = torch.tensor(item.prompt)
                input_ids[row, column, start:end] = torch.tensor(trace)
                labels[row, column, start:end] = torch.tensor(trace)
                attention_mask[row, column, :end] = 1
                trace_mask[row, column] = True
        return {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "labels": labels,
            "trace_mask": trace_mask,
            "prompt_lengths": torch.tensor([len(item.prompt) for item in items]),
            "problem_index": torch.tensor([item.index for item in items]),
        }


def tag_positions(batch: Mapping[str, Tensor], tag_length: int) -> Tensor:
    """Return (P, M, T) booleans, true on the tag's tokens of real traces."""
    position = torch.arange(batch["input_ids"].shape[-1], device=batch["input_ids"].device)
    start = batch["prompt_lengths"][:, None, None]
    return (position >= start) & (position < start + tag_length) & batch["trace_mask"][:, :, None]


def with_tags(input_ids: Tensor, prompt_lengths: Tensor, tags: Tensor, tag_ids: Tensor) -> Tensor:
    """Return a copy of the ids with each sequence's tag written into its place.

    Args:
        input_ids: (P, M, T).
        prompt_lengths: (P,).
        tags: (P, M) index of each sequence's tag.
        tag_ids: (N, length) token ids of the tags.
    """
    offsets = torch.arange(tag_ids.shape[1], device=input_ids.device)
    places = (prompt_lengths[:, None, None] + offsets).expand(*tags.shape, -1)
    return input_ids.scatter(2, places, tag_ids[tags])
