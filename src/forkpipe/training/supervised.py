"""Supervised training: one factory for sft, ssft_random and ssft, on transformers.Trainer."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from forkpipe.core.errors import InputError
from forkpipe.core.records import Assignment, TraceSet
from forkpipe.parameters import SupervisedSettings
from forkpipe.progress import Progress
from forkpipe.training.base_model import plain_tag
from forkpipe.training.checkpoint import load_checkpoint, save_checkpoint
from forkpipe.training.sequences import SetCollator, encode_sets
from forkpipe.training.ssft import SSFTTrainer


@dataclass(slots=True)
class TrainingResult:
    """Rows of the tables `training_log` and `matching`, without method and run_id."""

    training_log: list[dict[str, Any]] = field(default_factory=list)
    matching: list[dict[str, Any]] = field(default_factory=list)


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
) -> TrainingResult:
    """Train on trace sets from the checkpoint `base`; writes the new checkpoint to `folder`.

    All methods see the same problems in the same order, and the same number of trace tokens, for one seed.

    Args:
        method: name, for progress.
        base: checkpoint to start from, with all N tags.
        folder: where the new checkpoint goes.
        work: folder for the trainer's own files.
        sets: trace sets, at most N traces each.
        settings: see `parameters.SupervisedSettings`.
        assignment: how traces get their tags, see `core.matching`.
        template: prompt template of the student.
        seed: of data order and random assignments.
    """
    if not sets:
        raise InputError("trace_sets holds no set, expected at least one: see `rejected` for what was dropped and why")
    model, tokenizer, all_tags = load_checkpoint(base)
    tags = plain_tag(all_tags.style, tokenizer) if assignment == "single" else all_tags
    encoded = encode_sets(sets, tokenizer, template, tag_length=tags.length, max_length=settings.max_length)
    arguments = TrainingArguments(
        output_dir=str(work),
        max_steps=settings.max_steps,
        per_device_train_batch_size=settings.problems_per_step,
        gradient_accumulation_steps=settings.gradient_accumulation,
        learning_rate=settings.learning_rate,
        warmup_steps=settings.warmup_steps,
        lr_scheduler_type=settings.scheduler,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=settings.bf16,
        seed=seed,
        data_seed=seed,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        remove_unused_columns=False,
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    result = TrainingResult()
    trainer = SSFTTrainer(
        model=model,
        args=arguments,
        train_dataset=encoded,
        data_collator=SetCollator(tag_length=tags.length, pad_id=tokenizer.pad_token_id),
        tags=tags,
        assignment=assignment,
        prefix_length=settings.prefix_length,
        rematch_every=settings.rematch_every,
        tag_weight=settings.tag_weight,
        matching_rows=settings.matching_rows,
        matching_seed=seed,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(_LogCallback(trainer, result.training_log, Progress(method, settings.max_steps, unit="steps")))
    trainer.train()
    result.matching = trainer.matching_log
    origin = f"{base.parent.name}/{base.name}"
    save_checkpoint(folder, trainer.model, tokenizer, tags, base=origin, revision=f"seed {seed}")
    return result


class _LogCallback(TrainerCallback):
    """Keeps a row a step for the training log and shows progress."""

    def __init__(self, trainer: SSFTTrainer, rows: list[dict[str, Any]], progress: Progress) -> None:
        self.trainer = trainer
        self.rows = rows
        self.progress = progress
        self.started = time.perf_counter()
        self.tokens_before = 0
        self.matching_before = 0.0
        self.seconds_before = 0.0

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Take the step's row."""
        if not logs or "loss" not in logs:
            return  # the summary at the end of training
        seconds = time.perf_counter() - self.started
        self.rows.append(
            {
                "step": state.global_step,
                "loss": float(logs["loss"]),
                "learning_rate": float(logs["learning_rate"]),
                "tokens": self.trainer.trace_tokens - self.tokens_before,
                "seconds": seconds - self.seconds_before,
                "matching_seconds": self.trainer.matching_seconds - self.matching_before,
                "rollouts": 0,
            }
        )
        self.tokens_before = self.trainer.trace_tokens
        self.matching_before = self.trainer.matching_seconds
        self.seconds_before = seconds
        self.progress.update(state.global_step, f"loss {logs['loss']:.3f}")
