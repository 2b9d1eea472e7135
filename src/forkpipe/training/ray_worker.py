"""Runs the processes of a training on a Ray cluster: `python -m forkpipe.training.ray_worker FOLDER`."""

import json
import os
import signal
import sys
from pathlib import Path

from forkpipe.core.errors import InputError
from forkpipe.training.launch import JOB_FILE, end_with_parent


def main(folder: str) -> None:
    """Start Ray Train's workers, and wait for them."""
    end_with_parent(signal.SIGTERM, os.getppid())
    try:
        import ray
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer
    except ImportError as error:
        raise InputError(f"spread.launcher is 'ray', expected the packages of ray[train]: {error}") from None
    from forkpipe.parameters.spread import SpreadSettings

    job = json.loads(Path(folder, JOB_FILE).read_text())["job"]
    settings = SpreadSettings.model_validate(job["settings"]["spread"])
    ray.init(address=os.environ.get("RAY_ADDRESS", "local"), log_to_driver=True)
    on_gpus = ray.cluster_resources().get("GPU", 0) >= settings.total
    scaling = ScalingConfig(num_workers=settings.total, use_gpu=on_gpus)
    TorchTrainer(_loop, train_loop_config={"folder": folder}, scaling_config=scaling, run_config=RunConfig()).fit()


def _loop(config: dict[str, str]) -> None:
    from forkpipe.training.worker import work

    work(Path(config["folder"]))


if __name__ == "__main__":
    main(sys.argv[1])
