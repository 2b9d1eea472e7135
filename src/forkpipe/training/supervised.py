"""Supervised training from checkpoint to checkpoint with SSFTTrainer: sft, ssft_random, ssft_fixed and ssft."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from forkpipe.core.errors import InputError
from forkpipe.core.ids import content_hash
from forkpipe.core.progress import Progress, logger
from forkpipe.core.records import Assignment, TraceSet
from forkpipe.core.rows import MatchColumns, StepColumns
from forkpipe.models.adapters import lora_config
from forkpipe.models.checkpoint import Checkpoint
from forkpipe.models.positions import check_positions
from forkpipe.models.tagging import plain_tag
from forkpipe.parameters import SupervisedSettings
from forkpipe.parameters.recipes import length_of, values_of_training
from forkpipe.parameters.trainers import SSFTFields, values_of
from forkpipe.training.config import SSFTConfig
from forkpipe.training.jobs import MetricCallback, clear, half_precision, resolved_bf16, run, unfinished
from forkpipe.training.launch import run_spread
from forkpipe.training.logs import logged_columns
from forkpipe.training.memory import GIGABYTE, Sizes, need
from forkpipe.training.sequences import Row, set_rows
from forkpipe.training.sharding import holds_shards, spread_arguments
from forkpipe.training.ssft import SSFTTrainer
from forkpipe.training.whole_models import load_to_shard, save_trained


@dataclass(slots=True)
class TrainingResult:
    """Rows of the tables `training_log` and `matching`, without method and run_id."""

    training_log: list[StepColumns] = field(default_factory=list)
    matching: list[MatchColumns] = field(default_factory=list)


def train_supervised(
    method: str,
    base: Path,
    folder: Path,
    work: Path,
    sets: Sequence[TraceSet],
    settings: SupervisedSettings,
    assignment: Assignment,
    template: str,
    seed: int,
    held_out: Sequence[TraceSet] = (),
) -> TrainingResult:
    """Train on trace sets from the checkpoint `base`; writes the new checkpoint to `folder`.

    With the same seed, all methods see the same problems in the same order and the same number of trace tokens. A
    training that was killed resumes from its last checkpoint in `work` if it is called again with the same arguments.

    Args:
        base: checkpoint to start from, with all N tags.
        work: folder for the trainer's own checkpoints, which are deleted at the end, and for what loggers write.
        sets: trace sets, at most N traces each.
        seed: seed of the data order and of random assignments.
    """
    if not sets:
        raise InputError(
            "trace_sets holds no set of split train, expected at least one: see `rejected` for what was dropped and why"
        )
    if settings.evaluate_every and not held_out:
        raise InputError(
            "supervised.evaluate_every is set and no trace set is of split validation, "
            "expected some: add 'validation' to generation.splits"
        )
    resolved = {"max_steps": settings.steps(len(sets)), "bf16": resolved_bf16(settings)}
    given, settings = settings, settings.model_copy(update=resolved)
    logger.info("%s: %s; %s", method, length_of(settings, len(sets)), values_of_training(settings))
    data = set_rows(sets), set_rows(held_out)
    parent = Checkpoint(base)
    job = job_of(parent, data, settings, assignment, template, seed)
    task = _Job(
        method,
        str(base),
        str(folder),
        str(work),
        data,
        given.model_dump(mode="json"),
        resolved,
        assignment,
        template,
        seed,
        _name_of(unfinished(work, job), settings),
    )
    if settings.spread.total == 1:
        result = _train(task, settings)
    else:
        result = TrainingResult(**run_spread("supervised", asdict(task), settings.spread, work))
    clear(work)
    return result


@dataclass(frozen=True)
class _Job:
    """What every process of a training is given; made of what JSON can hold."""

    method: str
    base: str
    folder: str
    work: str
    data: tuple[list[Row], list[Row]]
    settings: dict[str, Any]
    resolved: dict[str, Any]  # settings that follow from the sets and the GPU
    assignment: Assignment
    template: str
    seed: int
    going_on: str | None


def train_job(job: dict[str, Any]) -> dict[str, Any]:
    """Train in one of several processes; `job` and result are as `launch.run_spread` hands them over."""
    task = _Job(**job)
    settings = SupervisedSettings.model_validate(task.settings).model_copy(update=task.resolved)
    return asdict(_train(task, settings))


def _train(job: _Job, settings: SupervisedSettings) -> TrainingResult:
    """Train and save, in each of a training's processes."""
    parent = Checkpoint(Path(job.base))
    # Before the model: it says which process this is.
    # A model from scratch knows nothing yet, of its tags or of anything else.
    config = _config(
        Path(job.work), settings, job.assignment, job.template, job.seed, check_tags=not parent.from_scratch
    )
    dtype = settings.lora.frozen if settings.lora else "float32"
    model = load_to_shard(parent, dtype) if settings.spread.sharded else parent.load_model(dtype)
    tokenizer, all_tags = parent.tokenizer, parent.tags
    if settings.max_length is not None:
        check_positions(settings.max_length, model.config, "supervised.max_length")
    tags = plain_tag(all_tags.style, tokenizer) if job.assignment == "single" else all_tags
    trainer = SSFTTrainer(
        model,
        config,
        processing_class=tokenizer,
        tags=tags,
        train_dataset=job.data[0],
        eval_dataset=job.data[1] or None,
        peft_config=lora_config(settings.lora) if settings.lora else None,
    )
    progress = Progress(job.method, settings.steps(len(job.data[0])), unit="steps")
    run(trainer, job.method, MetricCallback(progress, "loss"), Path(job.going_on) if job.going_on else None)
    save_trained(trainer, parent, Path(job.folder), job.seed, tags)
    rows = _log_rows(trainer.state.log_history, tags.n)
    if trainer.args.device.type == "cuda" and (sizes := Sizes.of(parent.config.to_dict())):
        planned = need(sizes, settings).gpu / GIGABYTE
        rows = [{**row, "planned_memory_gb": planned} for row in rows]
    return TrainingResult(rows, trainer.matchings.log)


def _name_of(checkpoint: Path | None, settings: SupervisedSettings) -> str | None:
    """Return the folder of a checkpoint to go on from; InputError if the processes could not read it."""
    if checkpoint is None:
        return None
    if holds_shards(checkpoint) != settings.spread.sharded:
        written, wanted = ("shared out", "whole") if holds_shards(checkpoint) else ("whole", "shared out")
        raise InputError(
            f"{checkpoint} was written by a training whose model was {written} and supervised.spread has it {wanted}, "
            f"expected it as before, or no {checkpoint.parent} to start anew"
        )
    return str(checkpoint)


NO_PART_OF_JOB = frozenset(
    {
        *("matching_tokens", "pass_tokens", "logit_chunk", "gradient_checkpointing"),  # bound memory
        *("problems_per_step", "gradient_accumulation"),  # only their product counts
        *("save_every", "report_to", "spread"),
        "epochs",  # `max_steps` has them
    }
)
"""Settings with which a killed training may be resumed with other values: they change a step by no more than rounding.
So a training that ran out of memory goes on from its last checkpoint."""


def job_of(
    parent: Checkpoint, data: Any, settings: SupervisedSettings, assignment: Assignment, template: str, seed: int
) -> str:
    """Return a hash of everything that a training depends on; `settings.max_steps` is set."""
    batch = settings.problems_per_step * settings.gradient_accumulation
    return content_hash(
        parent.digest, data, settings.model_dump(exclude=set(NO_PART_OF_JOB)), batch, assignment, template, seed
    )


def _config(
    work: Path, settings: SupervisedSettings, assignment: Assignment, template: str, seed: int, check_tags: bool
) -> SSFTConfig:
    named = {**values_of(settings, SSFTFields), **{name: getattr(settings, name) for name in TRANSFORMERS}}
    return SSFTConfig(
        output_dir=str(work),
        assignment=assignment,
        prompt=template,
        check_tags=check_tags,
        **_batches(settings),
        lr_scheduler_type=settings.scheduler,
        train_sampling_strategy="group_by_length" if settings.group_by_length else "random",
        seed=seed,
        data_seed=seed,
        logging_steps=1,
        save_strategy="steps" if settings.save_every else "no",
        save_steps=settings.save_every or 1,
        save_total_limit=1,
        eval_strategy="steps" if settings.evaluate_every else "no",
        eval_steps=settings.evaluate_every,
        report_to=list(settings.report_to),
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        **named,
        **half_precision(settings.bf16),
        **spread_arguments(settings.spread, settings.gradient_checkpointing),
    )


def _batches(settings: SupervisedSettings) -> dict[str, Any]:
    """Return the sizes of a process's batches, whose problems of a step are those of one process.

    With `pass_tokens` an optimiser step is one batch, whose passes bound memory.
    """
    share = settings.problems_per_step * settings.gradient_accumulation // settings.spread.total
    size = math.gcd(share, settings.problems_per_step) if settings.pass_tokens is None else share
    return {
        "per_device_train_batch_size": size,
        "gradient_accumulation_steps": share // size,
        "per_device_eval_batch_size": max(1, settings.problems_per_step // settings.spread.total),
    }


TRANSFORMERS = ("max_steps", "learning_rate", "warmup_steps", "weight_decay", "max_grad_norm")
"""Fields of transformers.TrainingArguments that have the same name in `SupervisedSettings`."""


def _log_rows(history: Sequence[dict[str, Any]], n_tags: int) -> list[StepColumns]:
    """Return the rows of the table `training_log`, one per step, from the trainer's logs."""
    rows: dict[int, Any] = {}  # an evaluation adds columns to the row of its step
    for logs in history:
        row = rows.setdefault(logs["step"], {"step": logs["step"], "rollouts": 0})
        if "loss" in logs:
            row |= {**logged_columns(logs), "tokens": int(logs["tokens"])}
        elif "eval_loss" in logs:
            row |= {**logged_columns(logs), "tag_usage": [logs[f"eval_usage_{i + 1}"] for i in range(n_tags)]}
    return [row for row in rows.values() if "loss" in row]
