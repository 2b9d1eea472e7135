"""What a training will do, in words, and what in it cannot be meant."""

from collections.abc import Iterator

from forkpipe.parameters.evaluation import EvaluationSettings
from forkpipe.parameters.policy import Phase, RolloutSettings, Schedule
from forkpipe.parameters.traces import CheckpointSampling
from forkpipe.parameters.training import SCRATCH, ModelSettings, SupervisedSettings

HIGHEST_RATE = 5e-4
"""Highest learning rate at which all weights of a pretrained model are trained: 1e-3 raised the loss on traces in its
first steps (docs/results/2026-11-28-rates.md)."""

HIGHEST_ADAPTER_RATE = 5e-3
"""The same for low-rank adapters."""

MANY_EPOCHS = {True: 10, False: 30}
"""Whether the model is pretrained -> epochs above which a training repeats its sets too often; the paper has 5."""

FEW_STEPS = 10
"""Steps below which a training hardly begins."""


def epochs_of(settings: SupervisedSettings, sets: int) -> float:
    """Return how often a training sees each of its sets."""
    return settings.steps(sets) / settings.steps_an_epoch(sets)


def length_of(settings: SupervisedSettings, sets: int) -> str:
    """Return how long a training on this many sets is.

    >>> length_of(SupervisedSettings(gradient_accumulation=2, problems_per_step=8), 100)
    '35 steps of 16 problems: 5 epochs of 100 sets'
    """
    batch = settings.problems_per_step * settings.gradient_accumulation
    return f"{settings.steps(sets)} steps of {batch} problems: {epochs_of(settings, sets):.3g} epochs of {sets} sets"


def planned_length_of(settings: SupervisedSettings) -> str:
    """Return how long a training is whose sets are not there yet."""
    batch = settings.problems_per_step * settings.gradient_accumulation
    length = f"{settings.max_steps} steps" if settings.max_steps else f"{settings.epochs:g} epochs"
    return f"{length} in steps of {batch} problems, on the trace sets that there will be"


def values_of_training(settings: SupervisedSettings) -> str:
    """Return the settings of a training that change its result most."""
    warm = settings.warmup_steps
    parts = [
        f"learning rate {settings.learning_rate:g} of {_trained(settings)}",
        f"{settings.scheduler} after {f'{warm} steps' if warm >= 1 else f'{warm:.0%}'} of warm-up",
        f"weight decay {settings.weight_decay:g}",
        f"L {'whole traces' if settings.prefix_length is None else settings.prefix_length}",
        _matched(settings),
        f"tag weight {settings.tag_weight:g}",
        f"bf16 {_flag(settings.bf16)}",
    ]
    return ", ".join(parts)


def _matched(settings: SupervisedSettings) -> str:
    every = f"at every {settings.rematch_every}. visit" if settings.rematch_every > 1 else "at every visit"
    doubling = settings.rematch_gaps == "doubling" and settings.rematch_every > 1
    parts = [f"matched at visits 0, 1, 2, 4 and so on, later {every}" if doubling else f"matched {every}"]
    if settings.whole_visits:
        parts += [f"by whole traces at the first {settings.whole_visits}"]
    if settings.consistency_weight:
        parts += [f"with {settings.consistency_weight:g} times a prior by {settings.consistency_features}"]
    return " ".join(parts)


def _trained(settings: SupervisedSettings) -> str:
    return f"adapters of rank {settings.lora.rank}" if settings.lora else "all weights"


def _flag(value: bool | str) -> str:
    return value if isinstance(value, str) else ("on" if value else "off")


def values_of_schedule(schedule: Schedule, rollouts: RolloutSettings) -> str:
    """Return what the phases of a method do, and the rollouts they draw."""
    steps = schedule.steps(rollouts)
    phases = [
        f"{name}: {_kind(phase)}, {steps[name]} steps, learning rate {phase.learning_rate:g}, bf16 {_flag(phase.bf16)}"
        for name, phase in schedule.phases().items()
    ]
    step = f"{rollouts.problems_per_step} problems x {rollouts.group_size}"
    return f"{'; '.join(phases)}; {rollouts.total()} rollouts, {step} a step, {_sampling(rollouts.sampling)}"


def _kind(phase: Phase) -> str:
    return f"kind tags, scope {phase.scope}" if phase.kind == "tags" else f"kind {phase.kind}"


def values_of_evaluation(settings: EvaluationSettings, tags: int) -> str:
    """Return how checkpoints are sampled."""
    limit = f", at most {settings.limit} problems of each split" if settings.limit else ""
    drawn = f"{settings.samples_per_tag} samples a problem under each of {tags} tags"
    return f"{drawn}, {_sampling(settings.sampling)}{limit}"


def _sampling(sampling: CheckpointSampling) -> str:
    return f"temperature {sampling.temperature:g}, top_p {sampling.top_p:g}, max_tokens {sampling.max_tokens}"


def doubts(settings: SupervisedSettings, sets: int, model: ModelSettings) -> Iterator[str]:
    """Yield warnings about the length of a training.

    >>> settings = SupervisedSettings(max_steps=280)
    >>> list(doubts(settings, 100, ModelSettings(source="Qwen/Qwen3-0.6B")))
    ['40 epochs of 100 sets: every trace is seen 40 times, the paper has 5 epochs']
    """
    if not sets:
        return
    pretrained = model.source != SCRATCH
    steps, epochs = settings.steps(sets), epochs_of(settings, sets)
    if epochs > MANY_EPOCHS[pretrained]:
        seen = f"every trace is seen {epochs:.0f} times, the paper has 5 epochs"
        yield f"{epochs:.3g} epochs of {sets} sets: {seen}"
    if epochs < 1:
        yield f"{epochs:.2g} epochs of {sets} sets: {1 - epochs:.0%} of the sets are never seen"
    if steps < FEW_STEPS:
        yield f"{steps} optimiser steps in all: expected more sets or epochs, or smaller batches"


def refused_rate(settings: SupervisedSettings) -> str | None:
    """Return why a pretrained model cannot be trained at this rate, None if it can."""
    adapters = settings.lora is not None
    most = HIGHEST_ADAPTER_RATE if adapters else HIGHEST_RATE
    return _refused(settings.learning_rate, most, _trained(settings))


def refused_phase_rate(phase: Phase) -> str | None:
    """Return the same for a phase of reinforcement learning."""
    if phase.kind == "tags" and phase.scope == "head":
        return None  # rows of its own, which no text reads
    adapters = phase.kind == "tags" and phase.scope in ("router", "lora")
    most = HIGHEST_ADAPTER_RATE if adapters else HIGHEST_RATE
    return _refused(phase.learning_rate, most, "adapters" if adapters else "all weights")


def _refused(rate: float, most: float, trained: str) -> str | None:
    if rate <= most:
        return None
    return f"is {rate:g}, at which {trained} of a pretrained model forget what it knows: expected at most {most:g}"
