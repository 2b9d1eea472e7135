"""Negative log-likelihoods of chosen tokens, and divergences of two models, without the logits of all positions.

At 32k positions and a vocabulary of 152k the logits alone take 20 GB in float32, and a loss holds several copies. The
functions below apply the output matrix only to the positions that are scored, to at most `chunk` of them at a time;
with gradients, the backward pass computes each chunk again. The call still goes through the whole model, so that
data-parallel wrappers, adapters and mixed precision see an ordinary forward pass.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
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
"""Settings of models that change the logits after the output matrix: for them the logits cannot be cut into chunks."""


def token_nll(model: Any, predicted: Tensor, *, chunk: int, **inputs: Any) -> tuple[Tensor, Any]:
    """Return -log p of tokens given the tokens before them, nats.

    Args:
        predicted: (B, T), at each position the token that its output should predict, or IGNORED.
        chunk: positions whose logits exist at once. With gradients, a batch of no more positions takes the plain path,
            which has the same operations as transformers' own loss.

    Returns:
        (B, T) in float32 or better, 0 where ignored; and the model's output, without logits if they were chunked.
    """
    plain = torch.is_grad_enabled() and predicted.numel() <= chunk
    if plain or not head_is_last(model):
        output = model(**inputs)
        nll = _cross_entropy(output.logits.flatten(0, 1), predicted.flatten())
        return nll.view(predicted.shape), output
    chosen = predicted != IGNORED
    with _head_by_chunks(_output_matrix(model), chosen, chunk, _cross_entropy, predicted[chosen]):
        output = model(**inputs)
    scored, output.logits = output.logits, None
    nll = torch.zeros(predicted.shape, dtype=scored.dtype, device=scored.device)
    return nll.masked_scatter(chosen, scored), output


def summed_kl(
    model: Any, teacher: Any, chosen: Tensor, *, chunk: int, before: AbstractContextManager[Any], **inputs: Any
) -> Tensor:
    """Return the sum of KL(teacher || model) over chosen positions, nats; the teacher gets no gradient.

    Args:
        teacher: the reference model; it may be `model` itself if `before` disables its adapter.
        chosen: (B, T) boolean.
        chunk: positions whose logits exist at once, of both models. Batches of no more positions, and models that
            rescale their logits, take the plain path: the logits of the whole batch.
        before: context that is entered while the teacher is computed.
    """
    if chosen.numel() <= chunk or not head_is_last(model):
        now = _log_probs(model(**inputs).logits[chosen])
        with torch.no_grad(), before:
            then = _log_probs(teacher(**inputs).logits[chosen])
        return functional.kl_div(now, then, log_target=True, reduction="sum")
    # Taken before the forward is replaced below: both models may have the same output matrix.
    logits_before = _without_adapter(_output_matrix(teacher)).forward
    with torch.no_grad(), before, _head_as(_output_matrix(teacher), lambda _: lambda hidden: hidden[chosen]):
        states = teacher(**inputs).logits

    def divergence(logits: Tensor, states: Tensor) -> Tensor:
        with torch.no_grad():
            then = _log_probs(logits_before(states))
        return functional.kl_div(_log_probs(logits), then, log_target=True, reduction="none").sum(dim=-1)

    with _head_by_chunks(_output_matrix(model), chosen, chunk, divergence, states):
        parts: Tensor = model(**inputs).logits
    return parts.sum()


def next_tokens(labels: Tensor) -> Tensor:
    """Return the token that each position predicts: the labels (B, T) shifted left by one."""
    return functional.pad(labels[:, 1:], (0, 1), value=IGNORED)


def _exact(logits: Tensor) -> Tensor:
    # At least float32. transformers' own loss calls .float(), which would reduce float64.
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(_exact(logits), targets, ignore_index=IGNORED, reduction="none")


def _log_probs(logits: Tensor) -> Tensor:
    return functional.log_softmax(_exact(logits), dim=-1)


@contextmanager
def _head_by_chunks(
    head: Any, chosen: Tensor, chunk: int, score: Callable[[Tensor, Tensor], Tensor], beside: Tensor
) -> Iterator[None]:
    """Within the block, the output matrix returns the scores (K,) of the K chosen positions instead of logits.

    `score` takes the logits (k, V) of up to `chunk` positions and their rows of `beside` (K, ...).
    """

    def scoring(logits_of: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def of_chunk(hidden: Tensor, rows: Tensor) -> Tensor:
            return score(logits_of(hidden), rows)

        def scores(hidden: Tensor) -> Tensor:
            parts = zip(hidden[chosen].split(chunk), beside.split(chunk), strict=True)
            return torch.cat([_recomputed(of_chunk, states, rows) for states, rows in parts])

        return scores

    with _head_as(head, scoring):
        yield


@contextmanager
def _head_as(head: Any, wrap: Callable[[Callable[[Tensor], Tensor]], Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Within the block, the forward of the output matrix is `wrap(forward)`."""
    # An attribute of the instance hides the class's method; deleting it restores the method.
    had_own, logits_of = "forward" in vars(head), head.forward
    head.forward = wrap(logits_of)
    try:
        yield
    finally:
        if had_own:
            head.forward = logits_of
        else:
            del head.forward


def _recomputed(function: Callable[[Tensor, Tensor], Tensor], hidden: Tensor, rows: Tensor) -> Tensor:
    """Return function(hidden, rows); with gradients, the backward pass computes it again."""
    if not torch.is_grad_enabled():
        return function(hidden, rows)
    result: Tensor = checkpoint(function, hidden, rows, use_reentrant=False, preserve_rng_state=False)
    return result


def _without_adapter(head: Any) -> Any:
    """Return the output matrix inside peft's adapters."""
    while True:
        inner = getattr(head, "original_module", None) or getattr(head, "base_layer", None)
        if inner is None:
            return head
        head = inner


def inner_model(model: Any) -> Any:
    """Return the model inside data-parallel wrappers."""
    return model.module if hasattr(model, "module") else model


def _output_matrix(model: Any) -> Any:
    return inner_model(model).get_output_embeddings()


def head_is_last(model: Any) -> bool:
    """Whether the model's logits are the product with its output matrix, unchanged."""
    config = inner_model(model).config.get_text_config()
    return _output_matrix(model) is not None and not any(
        getattr(config, name, None) not in (None, 1.0) for name in RESCALES
    )
