"""Passes over a few sequences of a batch at a time, so that a step takes the memory of a few."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from forkpipe.training.scoring import next_tokens, token_nll
from forkpipe.training.sequences import IGNORED


def passes_of(lengths: Sequence[int], tokens: int | None, rows: int | None = None) -> list[list[int]]:
    """Split sequences into passes, the longest first: memory that does not suffice is noticed at once.

    Sequences of like length share a pass, so little of it is padding.

    Args:
        lengths: tokens of each sequence.
        tokens: most tokens of a pass, padding counted; a longer sequence has a pass of its own. None for no limit.
        rows: most sequences of a pass, None for no limit.

    Returns:
        The indices of each pass's sequences; a single pass keeps their order.

    >>> passes_of([2, 9, 4, 3], tokens=8)
    [[1], [2, 3], [0]]
    >>> passes_of([2, 9, 4, 3], tokens=36)
    [[0, 1, 2, 3]]
    """
    passes: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        size = len(passes[-1]) + 1 if passes else 0
        fits = passes and (rows is None or size <= rows)
        if fits and (tokens is None or size * lengths[passes[-1][0]] <= tokens):
            passes[-1].append(index)
        else:
            passes.append([index])
    return [sorted(passes[0])] if len(passes) == 1 else passes


def sequences_in_passes(
    sequences: dict[str, Tensor], tokens: int | None, missing: Callable[[int], int] = lambda count: 0
) -> list[list[int]]:
    """Return `passes_of` of sequences that are padded on the right, see `sequences.matched_sequences`.

    Args:
        missing: passes without sequences that are added to so many, see `sharding.missing_passes`.
    """
    mask = sequences["attention_mask"]
    if tokens is None:
        return [list(range(len(mask)))]
    whole = mask.numel() <= tokens
    passes = [list(range(len(mask)))] if whole else passes_of(mask.sum(dim=1).tolist(), tokens)
    return passes + [[] for _ in range(missing(len(passes)))]


def part_of(sequences: dict[str, Any], rows: Sequence[int]) -> dict[str, Any]:
    """Return some of the sequences (S, T) without the padding that the others need; of none, one that predicts
    nothing, to take part in a pass of other processes."""
    mask = sequences["attention_mask"]
    if not rows:
        nothing = {name: tensor[:1, :2].clone() for name, tensor in sequences.items()}
        return {name: tensor.fill_(IGNORED) if "labels" in name else tensor for name, tensor in nothing.items()}
    if len(rows) == len(mask):
        return sequences
    rows = list(rows)
    width = int(mask[rows].sum(dim=1).max())
    return {name: tensor[rows, :width] for name, tensor in sequences.items()}


def next_token_nll(model: Any, sequences: dict[str, Tensor], chunk: int) -> tuple[Tensor, Tensor, Tensor, Any]:
    """Return (S, T) the NLL of the next token (nats), where it is of a trace and where of a tag; the model's output.

    Args:
        sequences: of `sequences.matched_sequences`, or some of them.
        chunk: positions whose logits exist at once, see `scoring.token_nll`.
    """
    trace, tag = next_tokens(sequences["trace_labels"]), next_tokens(sequences["tag_labels"])
    trace_mask, tag_mask = trace != IGNORED, tag != IGNORED
    nll, outputs = token_nll(
        model,
        torch.where(tag_mask, tag, trace),
        chunk=chunk,
        input_ids=sequences["input_ids"],
        attention_mask=sequences["attention_mask"],
        use_cache=False,
    )
    return nll, trace_mask, tag_mask, outputs
