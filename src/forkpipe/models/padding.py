"""Batches of prompts for one forward pass."""

from collections.abc import Sequence
from typing import Any


def left_padded(rows: Sequence[Sequence[int]], pad_id: int, device: Any = None) -> tuple[Any, Any, Any]:
    """Return input_ids, attention_mask and position_ids (B, T) of rows of token ids, padded on the left.

    The last token of every row is at the last position, where the logits of the next token are.
    """
    import torch

    width = max(map(len, rows))
    ids = torch.tensor([[pad_id] * (width - len(row)) + list(row) for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask, (mask.cumsum(dim=1) - 1).clamp(min=0)
