"""The supervised loss over matched traces (paper, section on SSFT, step 3) and the costs it matches by (step 1).

Shapes: B sequences, T tokens, V vocabulary. Logits at position t predict the token at t + 1; `mask` marks the tokens
that are predicted, at their own position.
"""

import torch
from torch import Tensor
from torch.nn import functional


def token_nll(logits: Tensor, input_ids: Tensor) -> Tensor:
    """Return -log p of every token given those before it, nats.

    Args:
        logits: (B, T, V).
        input_ids: (B, T).

    Returns:
        (B, T) in float32; 0 at the first position, which nothing predicts.
    """
    nll = functional.cross_entropy(
        logits[:, :-1].float().flatten(0, 1), input_ids[:, 1:].flatten(), reduction="none"
    ).view(input_ids.shape[0], -1)
    return functional.pad(nll, (1, 0))


def prefix_cost(nll: Tensor, trace_mask: Tensor, prefix_length: int | None) -> Tensor:
    """Return the mean NLL over the first L tokens of each trace, nats a token: the matching cost.

    Args:
        nll: (B, T) from `token_nll`.
        trace_mask: (B, T), true on the tokens of the trace (prompt, tag and padding are not).
        prefix_length: L, or None for the whole trace.
    """
    if prefix_length is not None:
        trace_mask = trace_mask & (trace_mask.long().cumsum(dim=1) <= prefix_length)
    return (nll * trace_mask).sum(dim=1) / trace_mask.sum(dim=1).clamp(min=1)


def set_loss(
    nll: Tensor,
    trace_mask: Tensor,
    tag_mask: Tensor,
    *,
    tag_weight: float,
    trace_tokens: int | Tensor,
    tag_tokens: int | Tensor,
) -> tuple[Tensor, dict[str, float]]:
    """Return the loss of matched sequences: trace tokens, plus the tags' own tokens by their own weight.

    loss = sum of trace NLL / trace_tokens + tag_weight * sum of tag NLL / tag_tokens

    The denominators are given, not counted here: under gradient accumulation they are those of the whole optimiser
    step, otherwise short micro-batches would weigh too much. The tag has a denominator of its own because its share
    of a long trace would vanish. The paper does not say whether tags are in the loss; its released checkpoints write
    a tag by themselves, so they were.

    Args:
        nll: (B, T) from `token_nll`.
        trace_mask: (B, T) tokens of the traces, end token included.
        tag_mask: (B, T) tokens of the tags.
        tag_weight: weight of the tag term, 0 leaves it out.
        trace_tokens: trace tokens of the optimiser step.
        tag_tokens: tag tokens of the optimiser step.
    """
    trace_loss = (nll * trace_mask).sum() / trace_tokens
    tag_loss = (nll * tag_mask).sum() / tag_tokens
    loss = trace_loss + tag_weight * tag_loss
    return loss, {"trace_loss": float(trace_loss.detach()), "tag_loss": float(tag_loss.detach())}


def tag_log_probs(logits: Tensor, tag_ids: Tensor) -> Tensor:
    """Return log p(g_i | x), normalised over the N tags.

    Args:
        logits: (B, V) at the position that predicts the tag's deciding token.
        tag_ids: (N,) the token of each tag at that position.

    Returns:
        (B, N) in float32.
    """
    return torch.log_softmax(logits[:, tag_ids].float(), dim=-1)
