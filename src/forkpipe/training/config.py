"""Configurations of the trainers: the fields of transformers.TrainingArguments, and those that SSFT and GFPO add."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from transformers import TrainingArguments

from forkpipe.core.errors import InputError
from forkpipe.core.prompts import PLACEHOLDER
from forkpipe.core.records import Assignment
from forkpipe.parameters.trainers import GFPOFields, SSFTFields, check_fields


@dataclass
class SSFTConfig(SSFTFields, TrainingArguments):
    """transformers.TrainingArguments with the fields of `SSFTFields` and those below.

    A batch counts problems, each with all its M traces.

    Attributes:
        assignment: how traces get their tags, see `core.matching`: "optimal" is SSFT.
        mode_field: which field of a trace names its mode, "teacher" or "strategy": "fixed" assigns tags by mode, and
            evaluation reports how well the tags tell modes apart.
        prompt: what the model is asked, before its chat template; holds {problem}.
        shared_prompt: compute each prompt once and share its keys and values among the N x M branches. Models whose
            cache cannot be shared (sliding windows, states) ignore it.
        check_tags: before a fresh training, log how likely the tags are, what they change and what follows them, with a
            warning where the model cannot tell them apart or writes nothing after them (`training.tag_check`).
    """

    assignment: Assignment = "optimal"
    mode_field: Literal["teacher", "strategy"] = "teacher"
    # A number too; transformers' command-line parser would read a union with int as int alone.
    prefix_length: str | None = "auto"  # type: ignore[assignment]
    prompt: str = PLACEHOLDER
    shared_prompt: bool = True
    check_tags: bool = True
    # A batch of one problem is already M sequences.
    per_device_train_batch_size: int = field(default=1)
    per_device_eval_batch_size: int = field(default=1)
    # Batches hold more than the arguments of the model's forward.
    remove_unused_columns: bool = field(default=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.prefix_length, str) and self.prefix_length.isdigit():  # given on a command line
            setattr(self, "prefix_length", int(self.prefix_length))  # noqa: B010
        check_fields(self, SSFTFields)
        for name, choices in (("mode_field", ("teacher", "strategy")), ("assignment", get_args(Assignment))):
            if getattr(self, name) not in choices:
                raise InputError(f"{name} is {getattr(self, name)!r}, expected one of: {', '.join(choices)}")
        _check_prompt(self.prompt)
        if self.remove_unused_columns:
            raise InputError("remove_unused_columns is True, expected False: batches hold more than the model takes")


@dataclass
class GFPOConfig(GFPOFields, TrainingArguments):
    """transformers.TrainingArguments with the fields of `GFPOFields` and those below; a batch counts problems.

    Attributes:
        draws: G, for objective "sampled": tags drawn per problem and step.
        anchor_weight: weight of the loss that the trainer's `anchor` returns, if it has one.
        prompt: what the model is asked, before its chat template; holds {problem}.
    """

    draws: int = 6
    anchor_weight: float = 0.0
    prompt: str = PLACEHOLDER
    # Batches hold more than the arguments of the model's forward.
    remove_unused_columns: bool = field(default=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, GFPOFields)
        if self.draws < 2:
            raise InputError(f"draws is {self.draws}, expected at least 2: a group of one has no advantage")
        if self.anchor_weight < 0:
            raise InputError(f"anchor_weight is {self.anchor_weight}, expected at least 0")
        _check_prompt(self.prompt)


def _check_prompt(prompt: str) -> None:
    if PLACEHOLDER not in prompt:
        raise InputError(f"prompt is {prompt!r}, expected a text that holds {PLACEHOLDER}")
