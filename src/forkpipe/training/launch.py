"""Runs a training in processes of one machine or several, which another program starts: torchrun, srun or Ray.

The process that asks stays the parent: it holds no GPU, starts one command, waits for it and reads the result. The job
and the result are JSON files in the work folder. No process survives its parent.
"""

import ctypes
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.progress import logger
from forkpipe.parameters.spread import SpreadSettings

JOB_FILE, RESULT_FILE, ERROR_FILE = "job.json", "result.json", "error.txt"
WORKER, RAY_WORKER = "forkpipe.training.worker", "forkpipe.training.ray_worker"
GRACE_SECONDS = 30
"""Time that processes have to end when they are asked to."""


def run_spread(task: str, job: dict[str, Any], settings: SpreadSettings, work: Path) -> dict[str, Any]:
    """Return what `worker.TASKS[task]` returns for the job in the first process; all processes run it.

    Raises:
        InputError: of a process, or a process failed; then the log says where its output is.
    """
    folder = work / "processes"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / JOB_FILE).write_text(json.dumps({"task": task, "job": job}))
    commands = commands_of(settings, folder)
    for command in commands[1 + len(settings.start) :]:
        logger.info("start on another machine: %s", shlex.join(command))
    started = [_start(command) for command in commands[: 1 + len(settings.start)]]
    logger.info("%d processes train: %s", settings.total, shlex.join(commands[0]))
    code: int | None = None
    try:
        code = started[0].wait()
    finally:
        for process in started:
            _end(process, at_once=code != 0)
    if (folder / ERROR_FILE).exists():
        raise InputError((folder / ERROR_FILE).read_text())
    if code or not (folder / RESULT_FILE).exists():
        raise InputError(
            f"the processes of a training ended with code {code}, see what they wrote above and in {folder}"
        )
    result: dict[str, Any] = json.loads((folder / RESULT_FILE).read_text())
    shutil.rmtree(folder)
    return result


def commands_of(settings: SpreadSettings, folder: Path) -> list[list[str]]:
    """Return the command that starts the processes. torchrun on several machines needs one command a machine."""
    if settings.launcher == "ray":
        return [[sys.executable, "-m", RAY_WORKER, str(folder)]]
    run = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={settings.processes}"]
    run += [f"--nnodes={settings.machines}", "--max-restarts=0", "--local-ranks-filter=0", "--tee=3"]
    run += [f"--log-dir={folder / 'logs'}"]
    worker = ["-m", WORKER, str(folder)]
    if settings.launcher == "slurm":
        srun = ["srun", f"--nodes={settings.machines}", "--ntasks-per-node=1", "--kill-on-bad-exit=1"]
        job, first = _allocation()
        meeting = _meeting(f"{first}:{20000 + int(job) % 10000}", job)
        return [[*srun, *settings.arguments, *run, *meeting, *worker]]
    run += settings.arguments
    if settings.machines == 1:
        return [[*run, "--standalone", *worker]]
    here = [*run, *_meeting(str(settings.endpoint), folder.parent.name), *worker]
    begun = [[*shlex.split(start), *here] for start in settings.start]
    return [here, *(begun or [here] * (settings.machines - 1))]


def _meeting(endpoint: str, name: str) -> list[str]:
    return ["--rdzv-backend=c10d", f"--rdzv-id=forkpipe-{name}", f"--rdzv-endpoint={endpoint}"]


def _allocation() -> tuple[str, str]:
    """Return the id of the Slurm job that this process runs in, and the name of its first machine."""
    job, nodes = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURM_JOB_NODELIST")
    if not job or not nodes:
        raise InputError("spread.launcher is 'slurm' outside an allocation, expected kedro run within sbatch or salloc")
    shown = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True)
    return job, shown.stdout.split()[0]


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    parent = os.getpid()

    def die_with_parent() -> None:
        end_with_parent(signal.SIGTERM, parent)

    try:
        return subprocess.Popen(command, preexec_fn=die_with_parent)
    except FileNotFoundError:
        raise InputError(f"{command[0]} is not installed here, expected it for spread.launcher") from None


def _end(process: subprocess.Popen[bytes], at_once: bool) -> None:
    """Wait for a process to end by itself, unless it should end at once, then ask it to, then kill it."""
    asks = (process.terminate, process.kill)  # torchrun passes the first on to the processes that it started
    for ask in asks if at_once else (None, *asks):
        if ask is not None:
            ask()
        try:
            process.wait(GRACE_SECONDS)
            return
        except subprocess.TimeoutExpired:
            continue


def end_with_parent(number: signal.Signals, parent: int) -> None:
    """Have the kernel send this process a signal when its parent ends, also if that is killed; on Linux alone."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(1, int(number))  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it has ended before
        os.kill(os.getpid(), signal.SIGKILL)
