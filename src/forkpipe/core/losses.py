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
    """Return the loss of matched sequences: trace tokens, plus the tags' own tokens by their own weight.

    loss = sum of trace NLL / trace_tokens + tag_weight * sum of tag NLL / tag_tokens

    The denominators are given, not counted here: under gradient accumulation they are those of the whole optimiser
    step, otherwise short micro-batches would weigh too much. The tag has a denominator of its own because its share
    of a long trace would vanish. The paper does not say whether tags are in the loss; its released checkpoints write
    a tag by themselves, so they were.

    Args:
        nll: (B, T) negative log-likelihoods, nats.
        trace_mask: (B, T) true where `nll` is of a trace's token, end token included.
        tag_mask: (B, T) true where it is of a tag's.
        tag_weight: weight of the tag term, 0 leaves it out.
        trace_tokens: trace tokens of the optimiser step.
        tag_tokens: tag tokens of the optimiser step.
    """
    trace_loss = _masked_sum(nll, trace_mask) / trace_tokens
    tag_loss = _masked_sum(nll, tag_mask) / tag_tokens
    loss = trace_loss + tag_weight * tag_loss
    return loss, {"trace_loss": trace_loss.detach(), "tag_loss": tag_loss.detach()}


def _masked_sum(nll: Tensor, mask: Tensor) -> Tensor:
    """Sum by the kernel that transformers' loss is summed by: equal to the last bit, which another order is not."""
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
