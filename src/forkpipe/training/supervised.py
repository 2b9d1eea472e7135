"""Supervised training from checkpoint to checkpoint with SSFTTrainer: sft, ssft_random, ssft_fixed and ssft."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from forkpipe.core.errors import InputError
from forkpipe.core.ids import content_hash
from forkpipe.core.progress import Progress, logger
from forkpipe.core.records import Assignment, TraceSet
from forkpipe.core.rows import MatchColumns, StepColumns
from forkpipe.models.adapters import lora_config, merged
from forkpipe.models.checkpoint import Checkpoint, check_positions
from forkpipe.models.tagging import plain_tag
from forkpipe.parameters import SupervisedSettings
from forkpipe.parameters.recipes import length_of, values_of_training
from forkpipe.parameters.trainers import SSFTFields, values_of
from forkpipe.training.config import SSFTConfig
from forkpipe.training.jobs import MetricCallback, checkpointing, clear, computes_bf16, half_precision, run, unfinished
from forkpipe.training.logs import logged_columns
from forkpipe.training.sequences import set_rows
from forkpipe.training.ssft import SSFTTrainer


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
    settings = settings.model_copy(
        update={"max_steps": settings.steps(len(sets)), "bf16": computes_bf16(settings.bf16)}
    )
    logger.info("%s: %s; %s", method, length_of(settings, len(sets)), values_of_training(settings))
    data = set_rows(sets), set_rows(held_out)
    parent = Checkpoint(base)
    job = job_of(parent, data, settings, assignment, template, seed)
    going_on = unfinished(work, job)
    model, tokenizer, all_tags = parent.load_model(), parent.tokenizer, parent.tags
    if settings.max_length is not None:
        check_positions(settings.max_length, model.config, "supervised.max_length")
    tags = plain_tag(all_tags.style, tokenizer) if assignment == "single" else all_tags
    trainer = SSFTTrainer(
        model,
        # A model from scratch knows nothing yet, of its tags or of anything else.
        _config(work, settings, assignment, template, seed, check_tags=not parent.from_scratch),
        processing_class=tokenizer,
        tags=tags,
        train_dataset=data[0],
        eval_dataset=data[1] or None,
        peft_config=lora_config(settings.lora) if settings.lora else None,
    )
    run(trainer, method, MetricCallback(Progress(method, settings.steps(len(sets)), unit="steps"), "loss"), going_on)
    parent.save_successor(folder, merged(trainer.model), seed, tags)
    clear(work)
    return TrainingResult(_log_rows(trainer.state.log_history, tags.n), trainer.matchings.log)


NO_PART_OF_JOB = frozenset(
    {
        *("matching_tokens", "pass_tokens", "logit_chunk", "gradient_checkpointing"),  # bound memory
        *("problems_per_step", "gradient_accumulation"),  # only their product counts
        *("save_every", "report_to"),
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
        **checkpointing(settings.gradient_checkpointing),
    )


def _batches(settings: SupervisedSettings) -> dict[str, Any]:
    """Return the sizes of batches: with `pass_tokens` an optimiser step is one batch, whose passes bound memory."""
    size, accumulated = settings.problems_per_step, settings.gradient_accumulation
    return {
        "per_device_train_batch_size": size if settings.pass_tokens is None else size * accumulated,
        "gradient_accumulation_steps": accumulated if settings.pass_tokens is None else 1,
        "per_device_eval_batch_size": size,
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
