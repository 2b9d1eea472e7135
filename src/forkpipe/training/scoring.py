"""Negative log-likelihoods of chosen tokens without the logits of all of them.

At 32k positions and a vocabulary of 152k the logits alone are 20 GB in float32, and a loss holds several copies. Here
the output matrix is applied to the positions that are scored and to no more than `chunk` of them at a time; under
gradient each chunk is computed again in the backward pass. The call still goes through the whole model, so that
data-parallel wrappers, adapters and mixed precision see an ordinary forward pass.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from forkpipe.training.sequences import IGNORED

RESCALES = (
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "lm_head_multiplier",
    "output_multiplier",
    "logits_soft_cap",
)
"""Settings of models that change the logits behind their output matrix: for them the matrix alone is not the model."""


def token_nll(model: Any, predicted: Tensor, *, chunk: int, **inputs: Any) -> tuple[Tensor, Any]:
    """Return -log p of tokens given what stands before them, nats.

    Args:
        model: a causal language model or a wrapper of one.
        predicted: (B, T), at each position the token that its output should predict, or IGNORED.
        chunk: positions whose logits exist at once. Under gradient a batch of no more positions takes the plain path,
            the very operations of transformers' own loss.
        **inputs: of the model: input_ids (B, T) and so on.

    Returns:
        (B, T) in float32 or better, 0 where ignored; and the model's output, without logits where chunks were taken.
    """
    plain = torch.is_grad_enabled() and predicted.numel() <= chunk
    if plain or not head_is_last(model):
        output = model(**inputs)
        nll = _cross_entropy(output.logits.flatten(0, 1), predicted.flatten())
        return nll.view(predicted.shape), output
    chosen = predicted != IGNORED
    with _head_as_loss(_output_matrix(model), chosen, predicted[chosen], chunk):
        output = model(**inputs)
    scored, output.logits = output.logits, None
    nll = torch.zeros(predicted.shape, dtype=scored.dtype, device=scored.device)
    return nll.masked_scatter(chosen, scored), output


def next_tokens(labels: Tensor) -> Tensor:
    """Return what each position predicts: the labels (B, T), one place to the left."""
    return functional.pad(labels[:, 1:], (0, 1), value=IGNORED)


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    # At least float32: transformers' own loss says .float(), which would throw away what a float64 model has more.
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return functional.cross_entropy(exact, targets, ignore_index=IGNORED, reduction="none")


@contextmanager
def _head_as_loss(head: Any, chosen: Tensor, targets: Tensor, chunk: int) -> Iterator[None]:
    """Within the block, the output matrix returns the NLL (K,) of the K chosen positions in place of logits."""
    # The instance's own attribute is looked up before the class's: deleting it restores whatever was there.
    had_own, logits_of = "forward" in vars(head), head.forward

    def losses(hidden: Tensor) -> Tensor:
        states = hidden[chosen].split(chunk)
        return torch.cat([_chunk_loss(logits_of, h, t) for h, t in zip(states, targets.split(chunk), strict=True)])

    head.forward = losses
    try:
        yield
    finally:
        if had_own:
            head.forward = logits_of
        else:
            del head.forward


def _chunk_loss(logits_of: Callable[[Tensor], Tensor], hidden: Tensor, targets: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        return _cross_entropy(logits_of(hidden), targets)
    loss: Tensor = checkpoint(
        lambda h, t: _cross_entropy(logits_of(h), t), hidden, targets, use_reentrant=False, preserve_rng_state=False
    )
    return loss


def _inner(model: Any) -> Any:
    """Return the model within data-parallel wrappers."""
    return model.module if hasattr(model, "module") else model


def _output_matrix(model: Any) -> Any:
    return _inner(model).get_output_embeddings()


def head_is_last(model: Any) -> bool:
    """Whether the model's logits are the product of its output matrix and nothing more."""
    config = _inner(model).config.get_text_config()
    return _output_matrix(model) is not None and not any(
        getattr(config, name, None) not in (None, 1.0) for name in RESCALES
    )
