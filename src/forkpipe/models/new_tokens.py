"""How many tokens a checkpoint may write, where the parameters leave that to the model's context."""

from collections.abc import Iterable

from forkpipe.core.errors import InputError
from forkpipe.models.checkpoint import Checkpoint
from forkpipe.models.positions import max_positions
from forkpipe.parameters import CheckpointSampling, SamplingSettings

MOST_NEW_TOKENS = 32768
"""The most tokens that `max_tokens: auto` allows, as in the paper."""


def fitted(sampling: CheckpointSampling, checkpoint: Checkpoint, prompts: Iterable[str]) -> SamplingSettings:
    """Return settings of sampling whose `max_tokens` is a number: for "auto", what fits after the longest prompt.

    Args:
        prompts: rendered prompts, without a tag; room for the checkpoint's longest tag is left.

    Raises:
        InputError: the model's positions are not known, or a prompt leaves none of them.
    """
    if sampling.max_tokens != "auto":
        return SamplingSettings(**sampling.model_dump())
    positions = max_positions(checkpoint.config)
    if positions is None:
        raise InputError(
            f"max_tokens is 'auto' and the configuration of {checkpoint.name} does not say how many positions the "
            "model has, expected a number of tokens"
        )
    tag = checkpoint.tags.length if checkpoint.has_tags else 0
    left = positions - tag - max((len(checkpoint.encode(prompt)) for prompt in prompts), default=0)
    if left < 1:
        raise InputError(
            f"max_tokens is 'auto' and a prompt of {positions - tag - left} tokens leaves none of the {positions} "
            f"positions of {checkpoint.name}, expected shorter prompts"
        )
    return SamplingSettings(**{**sampling.model_dump(), "max_tokens": min(left, MOST_NEW_TOKENS)})
