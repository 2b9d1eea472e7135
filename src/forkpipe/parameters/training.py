"""Parameters of the model, the tags and the methods."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from forkpipe.core.forking import STYLES, TagStyle
from forkpipe.core.prompts import PLACEHOLDER
from forkpipe.parameters.base import Count, Settings, Share, Template, Wanted, Weight
from forkpipe.parameters.spread import SpreadSettings
from forkpipe.parameters.trainers import SSFTFields

SCRATCH = "scratch"
"""The value of `model.source` for a small model with random weights."""
TagRows = Literal["words", "mean"]


class TagSettings(Settings):
    """The forking tags of every tagged method."""

    style: TagStyle = "special"
    """special: one added token a tag; text: the paper's, existing tokens."""
    n: Annotated[int, Field(ge=2)] = 6
    """N, the number of tags."""
    rows: TagRows = "words"
    """For special tags of a pretrained model, what the rows of the added tokens begin as. words: the mean of the rows
    of the words in the tag, and output rows that make tags likely at the beginning of an answer (`models.tag_rows`);
    mean: the mean of all rows, as transformers makes new rows. A model from scratch has its rows from the start."""

    @property
    def adds_tokens(self) -> bool:
        """Whether the tags of this style are tokens of their own."""
        return STYLES[self.style].adds_tokens


class Architecture(Settings):
    """Size of a model from scratch; the names are those of transformers' LlamaConfig."""

    hidden_size: Count = 64
    num_hidden_layers: Count = 3
    num_attention_heads: Count = 4
    num_key_value_heads: Count = 4
    intermediate_size: Count = 168
    max_position_embeddings: Count = 64
    """The longest sequence, prompt and tag included."""


class ModelSettings(Settings):
    """The model that is trained."""

    source: str = SCRATCH
    """scratch: a small Llama with a vocabulary of words; otherwise a checkpoint folder or hub name."""
    revision: str = "main"
    architecture: Architecture = Field(default_factory=Architecture)
    """For scratch."""
    prompt: Template = PLACEHOLDER
    """What the student is asked, before its chat template."""


class LoraSettings(Settings):
    """Low-rank adapters in place of full training; merged into the checkpoint at the end."""

    rank: Count = 16
    alpha: Count = 32
    dropout: Share = 0.0
    target_modules: str | list[str] = "all-linear"
    """Names of layers as peft takes them."""
    frozen: Literal["float32", "bfloat16"] = "float32"
    """Precision in which weights that are not trained are held while training. bfloat16 takes half the memory, and
    matching costs are then bfloat16 too; the adapter stays float32, and is merged into the base model in float32."""


class SupervisedSettings(Settings, SSFTFields):
    """Training of the supervised methods: the same but for how traces get their tags (`methods.SUPERVISED`)."""

    problems_per_step: Count = 16
    """Problems a forward and backward pass; an optimiser step takes this many times `gradient_accumulation`."""
    gradient_accumulation: Count = 1
    epochs: Annotated[float, Field(gt=0)] = 5.0
    """Passes over the trace sets."""
    max_steps: Count | None = None
    """Optimiser steps, in place of `epochs`; null: those that the epochs take."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-5
    warmup_steps: Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0, lt=1)] = 0
    """Optimiser steps of linear warm-up; a number below 1 is a share of all steps."""
    scheduler: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    weight_decay: Weight = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    bf16: Wanted = False
    """Compute in bfloat16; weights stay float32. auto: where the GPU can."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, about a third more time."""
    group_by_length: bool = False
    """Put problems of like length into a batch: less padding where lengths differ much."""
    lora: LoraSettings | None = None
    """Train low-rank adapters in place of the whole model."""
    save_every: Count | None = 100
    """Steps between the trainer's own checkpoints, from which a killed training goes on; null for none."""
    evaluate_every: Count | None = None
    """Steps between evaluations on the trace sets of split validation (see generation.splits); null for none."""
    report_to: list[Literal["tensorboard", "mlflow", "wandb"]] = []
    """Loggers of transformers; each needs its package."""
    spread: SpreadSettings = SpreadSettings()
    """Several processes and machines."""

    @model_validator(mode="after")
    def _deals_out(self) -> "SupervisedSettings":
        batch, total = self.problems_per_step * self.gradient_accumulation, self.spread.total
        if batch % total:
            raise ValueError(
                f"an optimiser step has {batch} problems and spread has {total} processes, expected a multiple: "
                "problems_per_step times gradient_accumulation are dealt out equally"
            )
        if "activations" in self.spread.offload and not self.gradient_checkpointing:
            raise ValueError("spread.offload has activations, expected gradient_checkpointing, which keeps few of them")
        return self

    @model_validator(mode="after")
    def _warmup_ends(self) -> "SupervisedSettings":
        if self.max_steps is not None and self.warmup_steps >= max(1, self.max_steps):
            raise ValueError(
                f"warmup_steps is {self.warmup_steps:g}, expected fewer than max_steps, {self.max_steps}, or a share "
                "below 1"
            )
        return self

    def steps_an_epoch(self, sets: int) -> int:
        """Return the optimiser steps of one pass over this many trace sets."""
        return math.ceil(math.ceil(sets / self.problems_per_step) / self.gradient_accumulation)

    def steps(self, sets: int) -> int:
        """Return the optimiser steps of a training on this many trace sets."""
        return self.max_steps or math.ceil(self.epochs * self.steps_an_epoch(sets))


class SupervisedMethod(Settings):
    """One supervised method: whatever of `supervised` it has differently."""

    train: dict[str, Any] = {}


def supervised_settings(common: SupervisedSettings, own: Mapping[str, Any]) -> SupervisedSettings:
    """Return the settings of one supervised method: the common ones with its own put over them."""
    return SupervisedSettings.model_validate({**common.model_dump(), **own})
