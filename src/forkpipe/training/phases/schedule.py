"""Runs the phases of a method one after the other, without repeating those that a killed run had finished."""

import importlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from forkpipe.core.ids import content_hash
from forkpipe.core.progress import logger
from forkpipe.core.prompts import render
from forkpipe.engines.registry import description_of
from forkpipe.models.checkpoint import Checkpoint
from forkpipe.models.new_tokens import fitted
from forkpipe.parameters import EngineSettings, Schedule
from forkpipe.parameters.policy import Phase
from forkpipe.training.jobs import computes_bf16
from forkpipe.training.phases.base import Context, PhaseResult

RESULT_FILE = "result.json"
"""File in the folder of a finished phase, written last: its tables and the job they belong to."""

MOVED_FILE = "moved.txt"
"""File in the folder of the last phase once its checkpoint is about to be moved to where the training was to write."""

NO_PART_OF_JOB: dict[str, Any] = {
    "micro_batch_size": True,
    "pass_tokens": True,
    "gradient_checkpointing": True,
    "anchor": {"micro_batch_size": True, "pass_tokens": True, "logit_chunk": True},
}
"""Settings that only bound memory: a killed training may be resumed with other values, and draws the same rollouts."""


def train_policy(parent: Path, folder: Path, work: Path, schedule: Schedule, context: Context) -> PhaseResult:
    """Train from the checkpoint `parent` through all phases; writes the last one's checkpoint to `folder`.

    Args:
        work: folder for checkpoints of phases and trainers; checkpoints of finished phases are deleted at the end.

    Returns:
        The tables of all phases one after the other; the count of steps continues from phase to phase.
    """
    steps = schedule.steps(context.rollouts)
    whole = PhaseResult()
    before, checkpoint = 0, Checkpoint(parent)
    prompts = (checkpoint.prompt(render(context.template, problem.problem)) for problem in context.problems)
    sampling = fitted(context.rollouts.sampling, checkpoint, prompts)
    context = replace(context, rollouts=context.rollouts.model_copy(update={"sampling": sampling}))
    for number, (name, planned) in enumerate(schedule.phases().items(), start=1):
        phase = planned.model_copy(update={"bf16": computes_bf16(planned.bf16)})
        place = work / f"{number}_{name}"
        result = _finished_or_run(checkpoint, place, phase, steps[name], context, folder)
        whole.log += [{**row, "step": row["step"] + before, "phase": name} for row in result.log]
        whole.rewards += [{**row, "policy_version": row["policy_version"] + before} for row in result.rewards]
        before += steps[name]
        checkpoint = Checkpoint(place / "checkpoint")
    _move(place, folder)
    for number, name in enumerate(schedule.phases(), start=1):
        shutil.rmtree(work / f"{number}_{name}")
    return whole


def _move(place: Path, folder: Path) -> None:
    """Move the checkpoint of the last phase to `folder`: a copy of a large one takes its space twice."""
    checkpoint = place / "checkpoint"
    if not checkpoint.exists():
        return  # moved by a run that was killed after that
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    (place / MOVED_FILE).write_text(str(folder))
    try:
        checkpoint.rename(folder)
    except OSError:  # on another file system
        copied = folder.with_name(f".{folder.name}.copied")
        shutil.rmtree(copied, ignore_errors=True)
        shutil.copytree(checkpoint, copied)
        copied.rename(folder)


def _has_checkpoint(place: Path, folder: Path) -> bool:
    """Whether the checkpoint of a phase is in its place, or was moved to `folder`."""
    moved = place / MOVED_FILE
    return (place / "checkpoint").exists() or (
        moved.exists() and moved.read_text() == str(folder) and Checkpoint(folder).has_tags
    )


def _finished_or_run(
    parent: Checkpoint, place: Path, phase: Phase, steps: int, context: Context, folder: Path
) -> PhaseResult:
    job = job_of(parent, phase, steps, context)
    marker = place / RESULT_FILE
    if marker.exists():
        finished = json.loads(marker.read_text())
        if finished["job"] == job and _has_checkpoint(place, folder):
            logger.info("%s: phase %s was finished before", context.method, place.name)
            return PhaseResult(finished["log"], finished["rewards"])
        shutil.rmtree(place)
    place.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(place / "checkpoint", ignore_errors=True)
    result = runner_of(phase)(parent, place / "checkpoint", place / "trainer", phase, steps, job, context)
    temporary = marker.with_suffix(".tmp")
    temporary.write_text(json.dumps({"job": job, "log": result.log, "rewards": result.rewards}))
    temporary.rename(marker)
    return result


def job_of(parent: Checkpoint, phase: Phase, steps: int, context: Context) -> str:
    """Return a hash of everything that a phase depends on, from which requests of its rollouts get ids and seeds.

    Of the engine it holds the identity alone, and only if it differs from the identity of the default engine: so ids
    are the same as in versions that hashed the engine's parameters.
    """
    default = EngineSettings()
    engine, usual = (description_of(settings, 1, "rollouts.engine") for settings in (context.rollouts.engine, default))
    return content_hash(
        parent.digest,
        phase.model_dump(exclude=NO_PART_OF_JOB if phase.bf16 else {**NO_PART_OF_JOB, "bf16": True}),
        steps,
        context.rollouts.model_copy(update={"engine": default}).model_dump(),
        [asdict(problem) for problem in context.problems],
        context.verified_by,
        [asdict(trace_set) for trace_set in context.sets],
        context.template,
        context.seed,
        *([] if engine == usual else [engine]),
    )


def runner_of(phase: Phase) -> Callable[..., PhaseResult]:
    """Return the function that runs a phase of this kind; its module is imported only now."""
    module, _, name = phase.runner.partition(":")
    runner: Callable[..., PhaseResult] = getattr(importlib.import_module(module), name)
    return runner
