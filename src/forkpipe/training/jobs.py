"""Runs a training in its work folder: a killed training is resumed, a changed one starts anew."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from forkpipe.core.progress import Progress, logger
from forkpipe.models.checkpoint import last_complete
from forkpipe.models.support import check_bf16
from forkpipe.parameters import SupervisedSettings
from forkpipe.parameters.policy import PhaseSettings

JOB_FILE = "job.txt"
"""File in the trainer's folder that names the training its checkpoints belong to."""


def unfinished(work: Path, job: str, needs: str = "") -> Path | None:
    """Return the checkpoint to resume from, None to start anew; checkpoints of another training are deleted.

    Args:
        job: hash of everything that the training depends on.
        needs: a file without which a checkpoint is incomplete.
    """
    marker = work / JOB_FILE
    if marker.exists() and marker.read_text() == job:
        return last_complete(work, needs)
    clear(work)
    work.mkdir(parents=True, exist_ok=True)
    marker.write_text(job)
    return None


def run(trainer: Any, name: str, callback: Any, going_on: Path | None) -> None:
    """Train, from the checkpoint `going_on` if it is given; `callback` replaces transformers' progress output."""
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(callback)
    if going_on:
        logger.info("%s: goes on from %s", name, going_on.name)
    trainer.train(resume_from_checkpoint=str(going_on) if going_on else None)


def clear(work: Path) -> None:
    """Delete the trainer's checkpoints, but not what loggers have written."""
    (work / JOB_FILE).unlink(missing_ok=True)
    for checkpoint in work.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)


class MetricCallback(TrainerCallback):
    """Shows how far a training is, with one of the logged metrics.

    Args:
        metric: name of the metric in the trainer's logs.
        label: what to call it, its name if empty.
    """

    def __init__(self, progress: Progress, metric: str, label: str = "") -> None:
        self.progress, self.metric, self.label = progress, metric, label or metric

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock at the step from which the training goes on."""
        self.progress.begin(state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Show the step's metric."""
        if logs and self.metric in logs:
            self.progress.update(state.global_step, f"{self.label} {logs[self.metric]:.3f}")


def checkpointing(wanted: bool) -> dict[str, Any]:
    """Return the field of transformers.TrainingArguments for gradient checkpointing, if it is wanted.

    Its name is deprecated, but old versions do not know the new one.
    """
    return {"gradient_checkpointing": True} if wanted else {}


def computes_bf16(wanted: bool | Literal["auto"]) -> bool:
    """Return whether to compute in bfloat16: as wanted, with "auto" where a GPU supports it without emulation."""
    if wanted != "auto":
        return wanted
    import torch

    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def resolved_bf16(settings: SupervisedSettings) -> bool:
    """Return `computes_bf16` of a training. Where other processes train, one of them says: to ask a GPU takes memory
    of it, which this process would hold."""
    if settings.bf16 != "auto" or settings.spread.total == 1:
        return computes_bf16(settings.bf16)
    asked = f"from {__name__} import computes_bf16; print(computes_bf16('auto'))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    return done.stdout.split()[-1] == "True"


def half_precision(wanted: bool | Literal["auto"]) -> dict[str, Any]:
    """Return the fields of transformers.TrainingArguments for bfloat16, if it is wanted."""
    import torch

    if not computes_bf16(wanted):
        return {"bf16": False}  # said, because it is True by default in TRL
    if not torch.cuda.is_available():
        return {"bf16": True, "use_cpu": True}  # transformers refuses bfloat16 without a GPU unless told so
    check_bf16()
    return {"bf16": True}


def phase_arguments(work: Path, settings: PhaseSettings, steps: int, whole: int, seed: int) -> dict[str, Any]:
    """Return the fields of transformers.TrainingArguments that all phases set; a step computes `whole` rows."""
    import torch

    rows = settings.micro_batch_size or whole
    return {
        "output_dir": str(work),
        "max_steps": steps,
        "learning_rate": settings.learning_rate,
        "max_grad_norm": settings.max_grad_norm,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "per_device_train_batch_size": rows,
        "gradient_accumulation_steps": whole // rows,
        **half_precision(settings.bf16),
        **checkpointing(settings.gradient_checkpointing),
        "seed": seed,
        "data_seed": seed,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": settings.save_every,
        "save_total_limit": 2,  # one stays complete while the other is written
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": torch.cuda.is_available(),
    }
