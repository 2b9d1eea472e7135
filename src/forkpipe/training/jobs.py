"""A training within a folder of its own: killed, it goes on from its last checkpoint; changed, it starts anew."""

import shutil
from pathlib import Path
from typing import Any

from forkpipe.core.progress import logger
from forkpipe.models.checkpoint import last_complete
from forkpipe.parameters import PassSettings

JOB_FILE = "job.txt"
"""In the trainer's folder: which training its checkpoints belong to."""


def unfinished(work: Path, job: str, needs: str = "") -> Path | None:
    """Return the checkpoint to go on from, None to start; what another training has left is deleted.

    Args:
        work: the trainer's output folder.
        job: a hash of all that the training depends on.
        needs: a file without which a checkpoint is not complete.
    """
    marker = work / JOB_FILE
    if marker.exists() and marker.read_text() == job:
        return last_complete(work, needs)
    clear(work)
    work.mkdir(parents=True, exist_ok=True)
    marker.write_text(job)
    return None


def run(trainer: Any, name: str, callback: Any, going_on: Path | None) -> None:
    """Train, from a checkpoint where there is one; `callback` says how far it is, in place of transformers' own."""
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(callback)
    if going_on:
        logger.info("%s: goes on from %s", name, going_on.name)
    trainer.train(resume_from_checkpoint=str(going_on) if going_on else None)


def clear(work: Path) -> None:
    """Delete the trainer's checkpoints; what loggers have written stays."""
    (work / JOB_FILE).unlink(missing_ok=True)
    for checkpoint in work.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)


def passes(settings: PassSettings, whole: int) -> dict[str, Any]:
    """Return what of transformers.TrainingArguments says how the `whole` rows of a step are computed."""
    import torch

    rows = settings.micro_batch_size or whole
    return {
        "per_device_train_batch_size": rows,
        "gradient_accumulation_steps": whole // rows,
        "bf16": settings.bf16,
        # Where there is no GPU transformers computes in bfloat16 only if a CPU is what was asked for.
        **({"use_cpu": True} if settings.bf16 and not torch.cuda.is_available() else {}),
        # A deprecated name, and the new one is not known to all versions: said only where it is wanted.
        **({"gradient_checkpointing": True} if settings.gradient_checkpointing else {}),
    }


def constant_rate(seed: int) -> dict[str, Any]:
    """Return what all phases of reinforcement learning pass to transformers.TrainingArguments alike."""
    import torch

    return {
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "seed": seed,
        "data_seed": seed,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_total_limit": 2,  # one is complete while the other is written
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": torch.cuda.is_available(),
    }
