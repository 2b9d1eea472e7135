"""What a trainer collects from one log to the next."""

import time
from typing import Any

import torch
from torch import Tensor

from forkpipe.training.memory import GIGABYTE


class StepLog:
    """Sums of metrics since the last log: a new metric needs a call of `add` only."""

    def __init__(self) -> None:
        self._sums: dict[str, float | Tensor] = {}
        self._since = time.perf_counter()

    def add(self, **values: float | Tensor) -> None:
        """Add parts of the loss, as tensors, or numbers; `steps` counts optimiser steps."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def take(self, accelerator: Any) -> dict[str, float]:
        """Return the metrics and begin anew: tensors as means over steps and processes, numbers as sums.

        `seconds` is the time since the last log, `peak_memory_gb` the most that torch has held of a GPU.
        """
        sums, self._sums = self._sums, {}
        steps = float(sums.pop("steps", 1.0))
        logs = {
            name: float(accelerator.reduce(value, "mean")) / steps if isinstance(value, Tensor) else float(value)
            for name, value in sums.items()
        }
        if accelerator.device.type == "cuda":
            logs["peak_memory_gb"] = torch.cuda.max_memory_allocated(accelerator.device) / GIGABYTE
        now = time.perf_counter()
        logs["seconds"], self._since = now - self._since, now
        return logs
