"""Negative log-likelihoods of chosen tokens, and divergences of two models, without the logits of all positions.

At 32k positions and a vocabulary of 152k the logits alone are 20 GB in float32, and a loss holds several copies. Here
the output matrix is applied to the positions that are scored and to no more than `chunk` of them at a time; under
gradient each chunk is computed again in the backward pass. The call still goes through the whole model, so that
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
        model: a causal language model or a wrapper of one.
        teacher: the model before; it may be the same one, then `before` takes its adapter away.
        chosen: (B, T) boolean.
        chunk: positions whose logits exist at once, those of two models. A batch of no more positions, and models that
            rescale their logits, take the plain path: the logits of the whole batch.
        before: entered while the teacher is computed.
        **inputs: of both: input_ids (B, T) and so on.
    """
    if chosen.numel() <= chunk or not head_is_last(model):
        now = _log_probs(model(**inputs).logits[chosen])
        with torch.no_grad(), before:
            then = _log_probs(teacher(**inputs).logits[chosen])
        return functional.kl_div(now, then, log_target=True, reduction="sum")
    # Its forward of now: where both models have one output matrix, that is what is replaced below.
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
    """Return what each position predicts: the labels (B, T), one place to the left."""
    return functional.pad(labels[:, 1:], (0, 1), value=IGNORED)


def _exact(logits: Tensor) -> Tensor:
    # At least float32: transformers' own loss says .float(), which would throw away what a float64 model has more.
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(_exact(logits), targets, ignore_index=IGNORED, reduction="none")


def _log_probs(logits: Tensor) -> Tensor:
    return functional.log_softmax(_exact(logits), dim=-1)


@contextmanager
def _head_by_chunks(
    head: Any, chosen: Tensor, chunk: int, score: Callable[[Tensor, Tensor], Tensor], beside: Tensor
) -> Iterator[None]:
    """Within the block, the output matrix returns the scores (K,) of the K chosen positions in place of logits.

    `score` takes the logits (k, V) of up to `chunk` positions and their rows of `beside` (K, ...).
    """

    def made(logits_of: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def of_chunk(hidden: Tensor, rows: Tensor) -> Tensor:
            return score(logits_of(hidden), rows)

        def scores(hidden: Tensor) -> Tensor:
            parts = zip(hidden[chosen].split(chunk), beside.split(chunk), strict=True)
            return torch.cat([_recomputed(of_chunk, states, rows) for states, rows in parts])

        return scores

    with _head_as(head, made):
        yield


@contextmanager
def _head_as(head: Any, made: Callable[[Callable[[Tensor], Tensor]], Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Within the block, the output matrix does what `made` makes of its forward."""
    # The instance's own attribute is looked up before the class's: deleting it restores whatever was there.
    had_own, logits_of = "forward" in vars(head), head.forward
    head.forward = made(logits_of)
    try:
        yield
    finally:
        if had_own:
            head.forward = logits_of
        else:
            del head.forward


def _recomputed(function: Callable[[Tensor, Tensor], Tensor], hidden: Tensor, rows: Tensor) -> Tensor:
    """Return function(hidden, rows); under gradient it is computed again in the backward pass."""
    if not torch.is_grad_enabled():
        return function(hidden, rows)
    result: Tensor = checkpoint(function, hidden, rows, use_reentrant=False, preserve_rng_state=False)
    return result


def _without_adapter(head: Any) -> Any:
    """Return the output matrix that adapters of peft are put around."""
    while True:
        inner = getattr(head, "original_module", None) or getattr(head, "base_layer", None)
        if inner is None:
            return head
        head = inner


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
