"""The supervised loss over matched traces (paper, section on SSFT, step 3), and probabilities of tags.

Shapes: B sequences, T tokens, V vocabulary.
"""

import torch
from torch import Tensor
from torch.nn import functional


def set_loss(
    nll: Tensor,
    trace_mask: Tensor,
    tag_mask: Tensor,
    *,
    tag_weight: float,
    trace_tokens: int | Tensor,
    tag_tokens: int | Tensor,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of matched sequences: trace tokens, plus tag tokens with a weight of their own.

    loss = sum of trace NLL / trace_tokens + tag_weight * sum of tag NLL / tag_tokens

    The caller passes the denominators: with gradient accumulation they count the tokens of the whole optimiser step,
    otherwise short micro-batches would weigh too much. Tag tokens have their own denominator, since one tag token among
    a long trace would hardly count. The paper does not say whether the loss includes the tags. Its released checkpoints
    write tags by themselves, so it must.

    Args:
        nll: (B, T) negative log-likelihoods, nats.
        trace_mask: (B, T) true where `nll` is of a trace's token, end token included.
        tag_mask: (B, T) true where `nll` is of a tag's token.
        tag_weight: weight of the tag term; 0 drops it.
    """
    trace_loss = _masked_sum(nll, trace_mask) / trace_tokens
    tag_loss = _masked_sum(nll, tag_mask) / tag_tokens
    loss = trace_loss + tag_weight * tag_loss
    return loss, {"trace_loss": trace_loss.detach(), "tag_loss": tag_loss.detach()}


def _masked_sum(nll: Tensor, mask: Tensor) -> Tensor:
    """Sum with the kernel that transformers uses for its loss, so that both are equal to the last bit."""
    targets = torch.where(mask, 0, -100).flatten()
    return functional.nll_loss(-nll.flatten()[:, None], targets, ignore_index=-100, reduction="sum")


def tag_log_probs(logits: Tensor, tag_ids: Tensor) -> Tensor:
    """Return log p(g_i | x), normalised over the N tags.

    Args:
        logits: (B, V) at the position that predicts the tag's deciding token.
        tag_ids: (N,) the token of each tag at that position.

    Returns:
        (B, N) in float32.
    """
    return torch.log_softmax(logits[:, tag_ids].float(), dim=-1)
