"""Parameters of reinforcement learning: the rollouts that methods have in common, and the phases of each."""

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, RootModel, model_validator

from forkpipe.core.errors import InputError
from forkpipe.parameters.base import AsksEngine, Count, EngineSettings, Settings, Wanted, Weight
from forkpipe.parameters.traces import CheckpointSampling
from forkpipe.parameters.trainers import GFPOFields
from forkpipe.parameters.training import LoraSettings

Positive = Annotated[float, Field(gt=0)]


class RolloutSettings(AsksEngine):
    """What the methods of reinforcement learning have in common: the budget."""

    steps: Count = 60
    problems_per_step: Count = 32
    group_size: Annotated[int, Field(ge=2)] = 6
    """Rollouts a problem and step; a table of rewards has one under each tag, so it must be a multiple of tags.n."""
    sampling: CheckpointSampling = Field(default_factory=CheckpointSampling)
    engine: EngineSettings = Field(default_factory=EngineSettings)
    """Fills tables of rewards; within phases of kind traces the model being trained is sampled in this process."""
    batch_rows: Count = 192
    """Sequences generated at a time in this process, by the engine transformers or while traces are trained."""

    def total(self, steps: int | None = None) -> int:
        """Return the rollouts of some steps, or of all."""
        return (self.steps if steps is None else steps) * self.problems_per_step * self.group_size


class AnchorSettings(Settings):
    """What holds a policy's completions where they were, while its choice of the tag is trained."""

    kind: Literal["kl", "replay"] = "replay"
    """kl: KL to the model before the phase, on completions it wrote under every tag (in a fold, on the trace sets);
    replay: the loss of SSFT on its trace sets, each trace after the tag that matching gives it. Replay did better in
    scopes lora and full (docs/results/2026-11-22-policies.md)."""
    weight: Positive = 1.0
    """Weight of the anchor's loss, a mean over tokens, nats."""
    sequences: Count = 64
    """Sequences a step."""
    micro_batch_size: Count | None = None
    """Sequences a forward and backward pass, null for all of a step: bounds memory, changes no result."""
    pass_tokens: Count | None = None
    """The same in tokens, padding counted; a longer sequence has a pass of its own."""
    logit_chunk: Count = 4096
    """Positions whose logits exist at once; a pass of more is cut (`training.scoring`)."""


class FoldAnchorSettings(AnchorSettings):
    """The anchor of a fold, which was measured with KL alone."""

    kind: Literal["kl", "replay"] = "kl"


class PassSettings(Settings):
    """How a phase computes its steps. Without bf16 all of it bounds memory alone and changes results by no more than
    rounding: it is no part of what a killed training is known by (`training.phases.schedule`)."""

    runner: ClassVar[str]
    """The function that trains a phase of this kind, as "module:function"; see `train_tags` for its arguments."""
    micro_batch_size: Count | None = None
    """Rollouts (kind traces) or problems (tags, fold) a forward and backward pass; null for all of a step, of which it
    must be a divisor. An optimiser step is the same for any."""
    bf16: Wanted = False
    """Compute in bfloat16, sampling in this process included; weights stay float32. auto: where the GPU can."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, about a third more time."""


class PhaseSettings(PassSettings):
    """What the phases of every kind have."""

    learning_rate: Positive
    max_grad_norm: Positive = 1.0
    save_every: Count = 20
    """Steps between the trainer's own checkpoints, from which a killed training goes on."""


class TagsPhase(PhaseSettings, GFPOFields):
    """GFPO: the choice of the tag is trained on a table of rewards."""

    runner: ClassVar[str] = "forkpipe.training.phases.tags:train_tags"
    kind: Literal["tags"]
    steps: Count | None = None
    """Optimiser steps; null for all that are left of rollouts.steps."""
    scope: Literal["head", "router", "lora", "full"] = "head"
    """What is trained. head: the tags' rows of the output matrix; router: a low-rank adapter that picks the tag,
    beside the model that completes: in both no completion changes. lora, full: an adapter that is merged at the end,
    or all weights: completions change, so these need an anchor and fresh rewards."""
    adapter: LoraSettings = Field(default_factory=LoraSettings)
    """For router and lora."""
    anchor: AnchorSettings | None = None
    """For lora and full."""
    refresh_every: Count | None = None
    """For lora and full: steps after which rewards are sampled anew, null for never; the budget is split evenly."""
    learning_rate: Positive = 1e-2

    @model_validator(mode="after")
    def _anchored(self) -> "TagsPhase":
        moves = self.scope in ("lora", "full")
        if moves and self.anchor is None:
            raise ValueError(
                f"scope is '{self.scope}' without an anchor: it changes what is written after the tags, "
                "expected an anchor, or scope 'head' or 'router'"
            )
        if not moves and (self.anchor is not None or self.refresh_every is not None):
            raise ValueError(
                f"scope is '{self.scope}' with an anchor or refresh_every, expected neither: no completion changes"
            )
        return self


class TracesPhase(PhaseSettings):
    """GRPO by TRL's trainer, all weights."""

    runner: ClassVar[str] = "forkpipe.training.phases.traces:train_traces"
    kind: Literal["traces"]
    steps: Count | None = None
    """Optimiser steps; null for all that are left of rollouts.steps."""
    tag: Literal["first", "own", "router"] = "first"
    """Under which tag a rollout stands. first: the first, for models with one plain tag; own: the model draws it and it
    is trained as the completion's first token; router: the router draws it, and the trace alone is trained."""
    router_learning_rate: Weight = 0.0
    """For router: its step on the tags of the same rollouts; 0 leaves the router as it is."""
    pass_tokens: Count | None = None
    """Tokens in a forward and backward pass, padding counted, of rollouts of a micro-batch, the longest first; a longer
    rollout has a pass of its own. null for the whole micro-batch."""
    learning_rate: Positive = 1e-6
    beta: Weight = 0.0
    """Weight of the KL to the reference."""
    loss_type: Literal["grpo", "dapo", "dr_grpo"] = "grpo"

    @model_validator(mode="after")
    def _has_router(self) -> "TracesPhase":
        if self.router_learning_rate and self.tag != "router":
            raise ValueError(f"router_learning_rate is set and tag '{self.tag}', expected tag 'router'")
        return self


class FoldPhase(PhaseSettings):
    """The router's choice is distilled into the model itself, without rollouts: then it needs no router."""

    runner: ClassVar[str] = "forkpipe.training.phases.fold:fold_router"
    kind: Literal["fold"]
    steps: Count = 300
    learning_rate: Positive = 1e-3
    anchor: FoldAnchorSettings = Field(default_factory=FoldAnchorSettings)
    save_every: Count = 100


Phase = Annotated[TagsPhase | TracesPhase | FoldPhase, Field(discriminator="kind")]


class Schedule(RootModel):  # type: ignore[type-arg]  # a class with arguments would be built at import
    """The phases of a method by name, in their order; null takes one of another environment away."""

    model_config = ConfigDict(defer_build=True)
    root: dict[str, Phase | None]

    @model_validator(mode="after")
    def _in_order(self) -> "Schedule":
        routed = False
        for name, phase in self.phases().items():
            wanted = phase.kind == "fold" or (phase.kind == "traces" and phase.tag == "router")
            if wanted != routed:
                raise ValueError(
                    f"phase {name} of kind {phase.kind} {'needs a' if wanted else 'would drop the'} router of a phase "
                    f"before it, expected {'one of scope router' if wanted else 'traces with tag router, or a fold'}"
                )
            if phase.kind != "traces":
                routed = phase.kind == "tags" and phase.scope == "router"
        return self

    def phases(self) -> dict[str, Phase]:
        """Return the phases that there are."""
        return {name: phase for name, phase in self.root.items() if phase is not None}

    def steps(self, rollouts: RolloutSettings) -> dict[str, int]:
        """Return the steps of each phase.

        InputError if phases that draw rollouts do not add up to the steps that every method has, or a phase's
        micro_batch_size does not divide what a step takes.
        """
        for name, phase in self.phases().items():
            whole = rollouts.problems_per_step * (rollouts.group_size if phase.kind == "traces" else 1)
            if phase.micro_batch_size and whole % phase.micro_batch_size:
                raise InputError(
                    f"phase {name} has micro_batch_size {phase.micro_batch_size}, expected a divisor of {whole}, the "
                    f"{'rollouts' if phase.kind == 'traces' else 'problems'} of a step"
                )
        drawing = {name: phase.steps for name, phase in self.phases().items() if phase.kind != "fold"}
        open_ended = [name for name, steps in drawing.items() if steps is None]
        left = rollouts.steps - sum(steps or 0 for steps in drawing.values())
        if not drawing or len(open_ended) > 1 or (left < 1 if open_ended else left != 0):
            raise InputError(
                f"its phases take {', '.join(f'{name} {steps}' for name, steps in drawing.items()) or 'no'} steps with "
                f"rollouts, expected {rollouts.steps} together (rollouts.steps), at most one of them null"
            )
        return {name: phase.steps or left for name, phase in self.phases().items()}


class PolicyMethod(Settings):
    """A method of reinforcement learning."""

    train: Schedule
