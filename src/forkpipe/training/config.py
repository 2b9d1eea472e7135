"""Settings of the SSFT trainer: those of transformers, and what is SSFT's own."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from transformers import TrainingArguments

from forkpipe.core.errors import InputError
from forkpipe.core.prompts import PLACEHOLDER
from forkpipe.core.records import Assignment


@dataclass
class SSFTConfig(TrainingArguments):
    """transformers.TrainingArguments with the fields below; a batch counts problems, each with all its traces (M).

    Attributes:
        assignment: how traces get their tags, see `core.matching`: "optimal" is SSFT.
        mode_field: what of a trace names its mode, "teacher" or "strategy": "fixed" goes by it, and evaluation says how
            well the tags tell modes apart.
        prefix_length: L, the trace tokens that the matching looks at; "auto" until the problem's traces have diverged
            (`core.prefixes`), None for whole traces.
        auto_divergence: for "auto", the tokens by which two traces must differ.
        auto_cap: for "auto", the longest L.
        rematch_every: a problem is matched at its visits 0, k, 2k, ... and keeps its matching in between.
        tag_weight: weight of the loss on the tag itself, which has its own denominator (`core.losses`).
        prompt: what the model is asked, before its chat template; holds {problem}.
        max_length: longer sequences are refused before training starts, tokens; None for the positions that the model
            is made for, which is the most that can be asked.
        logit_chunk: positions whose logits exist at once. A batch of no more positions takes the plain path, the
            same to the bit as transformers.Trainer; a larger one is cut, so that no tensor is positions x vocabulary.
        matching_tokens: tokens a forward pass when costs are computed: bounds memory, changes no result.
        shared_prompt: compute each prompt once and share its keys and values among the N x M branches. Models whose
            cache cannot be shared (sliding windows, states) are costed without, whatever this says.
    """

    assignment: Assignment = "optimal"
    mode_field: Literal["teacher", "strategy"] = "teacher"
    # A number too; transformers' parser of command lines would take a union with int for int alone.
    prefix_length: str | None = "auto"
    auto_divergence: int = 8
    auto_cap: int = 1000
    rematch_every: int = 1
    tag_weight: float = 0.1
    prompt: str = PLACEHOLDER
    max_length: int | None = None
    logit_chunk: int = 1024
    matching_tokens: int = 65536
    shared_prompt: bool = True
    # A batch of one problem is already M sequences.
    per_device_train_batch_size: int = field(default=1)
    per_device_eval_batch_size: int = field(default=1)
    # Batches hold more than the arguments of the model's forward.
    remove_unused_columns: bool = field(default=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.prefix_length, str) and self.prefix_length.isdigit():  # of a command line
            setattr(self, "prefix_length", int(self.prefix_length))  # noqa: B010
        for name, known in (("mode_field", ("teacher", "strategy")), ("assignment", get_args(Assignment))):
            if getattr(self, name) not in known:
                raise InputError(f"{name} is {getattr(self, name)!r}, expected one of: {', '.join(known)}")
        if self.tag_weight < 0:
            raise InputError(f"tag_weight is {self.tag_weight}, expected at least 0")
        if isinstance(self.prefix_length, str) and self.prefix_length != "auto":
            raise InputError(f"prefix_length is {self.prefix_length!r}, expected a number of tokens, 'auto' or None")
        for name in ("auto_divergence", "auto_cap", "rematch_every", "max_length", "logit_chunk", "matching_tokens"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise InputError(f"{name} is {value}, expected at least 1")
        if isinstance(self.prefix_length, int) and self.prefix_length < 1:
            raise InputError(f"prefix_length is {self.prefix_length}, expected at least 1")
        if PLACEHOLDER not in self.prompt:
            raise InputError(f"prompt is {self.prompt!r}, expected a text that holds {PLACEHOLDER}")
        if self.remove_unused_columns:
            raise InputError("remove_unused_columns is True, expected False: batches hold more than the model takes")
