"""One of the processes of a training that is spread over several: `python -m forkpipe.training.worker FOLDER`."""

import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.progress import logger
from forkpipe.training.launch import ERROR_FILE, JOB_FILE, RESULT_FILE, end_with_parent


def _supervised(job: dict[str, Any]) -> dict[str, Any]:
    from forkpipe.training.supervised import train_job

    return train_job(job)


TASKS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"supervised": _supervised}
"""What a job may be, by name."""


def work(folder: Path) -> None:
    """Do the job of a folder together with the other processes; the first one writes the result."""
    first = int(os.environ.get("RANK", "0")) == 0
    if first:
        logging.basicConfig(format="%(message)s")
        logger.setLevel(logging.INFO)
    if not (folder / JOB_FILE).exists():
        raise InputError(f"{folder / JOB_FILE} does not exist here, expected a folder that all machines share")
    asked = json.loads((folder / JOB_FILE).read_text())
    try:
        result = TASKS[asked["task"]](asked["job"])
    except InputError as error:
        (folder / ERROR_FILE).write_text(str(error))
        raise
    if first:
        temporary = folder / f"{RESULT_FILE}.tmp"
        temporary.write_text(json.dumps(result))
        temporary.rename(folder / RESULT_FILE)


def main(folder: str) -> None:
    """Work, and end the group of processes in order."""
    import torch
    from torch.distributed.elastic.multiprocessing.errors import record

    end_with_parent(signal.SIGKILL, os.getppid())
    record(work)(Path(folder))
    if torch.distributed.is_initialized():
        torch.distributed.barrier()  # who leaves early takes the store with it
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
