"""How many tokens a checkpoint may write where the parameters leave that to its context."""

import pytest

from forkpipe.core.errors import InputError
from forkpipe.models.checkpoint import Checkpoint
from forkpipe.models.new_tokens import fitted
from forkpipe.parameters import CheckpointSampling, SamplingSettings

AUTO = CheckpointSampling(temperature=0.5, top_p=0.9, max_tokens="auto")


def test_a_number_stays(base):
    assert fitted(CheckpointSampling(max_tokens=7), Checkpoint(base), ["anything"]) == SamplingSettings(max_tokens=7)


def test_auto_is_what_the_longest_prompt_and_a_tag_leave_of_the_positions(base):
    """64 positions, a tag of one token."""
    checkpoint = Checkpoint(base)
    prompts = [checkpoint.prompt(text) for text in ("1 2 3", "1 2 3 4 5 6")]
    longest = len(checkpoint.encode(prompts[1]))
    assert longest > len(checkpoint.encode(prompts[0]))
    found = fitted(AUTO, checkpoint, prompts)
    assert found == SamplingSettings(temperature=0.5, top_p=0.9, max_tokens=64 - 1 - longest)


def test_a_prompt_that_leaves_nothing_is_refused(base):
    checkpoint = Checkpoint(base)
    with pytest.raises(InputError, match="leaves none of the 64 positions"):
        fitted(AUTO, checkpoint, [checkpoint.prompt("1 " * 64)])


def test_auto_is_no_number_for_a_request():
    with pytest.raises(ValueError, match="max_tokens is 'auto'"):
        AUTO.record()
