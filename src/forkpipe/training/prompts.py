"""From problems with rewards to batches of prompts, for GFPOTrainer."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from datasets import Dataset
from torch import Tensor, tensor

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.core.prompts import render
from forkpipe.models.checkpoint import encoder, render_prompt
from forkpipe.models.padding import left_padded


class PromptCollator:
    """Pads prompts on the left, so that each row ends just before the deciding position.

    Returns input_ids, attention_mask (B, T); problem_index (B,).
    """

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id

    def __call__(self, items: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Collate B rows of `encode_problems`."""
        input_ids, attention_mask, _ = left_padded([item["prompt"] for item in items], self.pad_id)
        return {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "problem_index": tensor([item["index"] for item in items]),
        }


def encode_problems(rows: Any, tokenizer: Any, tags: ForkingTags, template: str) -> Dataset:
    """Return rows with index, prompt (token ids up to the deciding position) and rewards (N lists of equal length).

    InputError names a problem whose rewards are not N lists of equal length.
    """
    encode = encoder(tokenizer)
    encoded = []
    for index, row in enumerate(rows):
        if missing := {"problem", "rewards"} - set(row):
            raise InputError(f"problem {index}: field '{min(missing)}' is missing, expected 'problem' and 'rewards'")
        rewards = row["rewards"]
        _check_numbers(index, rewards)
        counts = {len(of_tag) for of_tag in rewards}
        if len(rewards) != tags.n or len(counts) != 1 or counts == {0}:
            raise InputError(
                f"problem {index}: field 'rewards' holds {[len(of_tag) for of_tag in rewards]} rewards by tag, "
                f"expected the same number, at least one, for each of {tags.n} tags"
            )
        prompt = encode(render_prompt(tokenizer, render(template, row["problem"])))
        encoded.append(
            {"index": index, "prompt": [*prompt, *tags.opening], "rewards": [list(map(float, r)) for r in rewards]}
        )
    return Dataset.from_list(encoded)


def _check_numbers(index: int, rewards: Any) -> None:
    """Raise InputError unless rewards are lists of finite numbers: a single NaN would make all tags NaN."""
    if isinstance(rewards, str) or not isinstance(rewards, Iterable):
        raise InputError(f"problem {index}: field 'rewards' is {rewards!r}, expected a list of numbers by tag")
    for tag, drawn in enumerate(rewards, 1):
        if isinstance(drawn, str) or not isinstance(drawn, Iterable):
            raise InputError(f"problem {index}: rewards of tag {tag} are {drawn!r}, expected a list of numbers")
        for reward in drawn:
            if isinstance(reward, str | None) or not math.isfinite(reward):
                raise InputError(f"problem {index}: a reward of tag {tag} is {reward!r}, expected a finite number")
