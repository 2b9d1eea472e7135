"""A worker process of the local sandbox, as seen from the process that asks it: pipes, messages, how a run ended."""

import contextlib
import fcntl
import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.sandbox.base import BUSY, Job, Run, Status

START_SECONDS = 60.0
LONGEST_ERROR = 100_000
"""Bytes of a report on an exception."""
PIPE_BYTES = 1 << 20
GRACE_SECONDS = 60.0
"""What a worker may take beyond the wall limit of a run before it is given up."""

ADVICE = (
    "programs are run on Linux 5.13 or newer, x86-64 or aarch64, with seccomp and with Landlock or user namespaces; "
    "Ubuntu 24.04 restricts user namespaces and has Landlock; elsewhere (macOS, Windows, gVisor, old kernels) name a "
    "service as backend: sandbox_fusion or piston"
)


class WorkerProcess:
    """A worker process and its pipes; used by one thread at a time."""

    def __init__(self, backend: str, packages: Mapping[str, str], without: Sequence[str]) -> None:
        """Start a worker; InputError where it says that this machine isolates too little."""
        if sys.platform != "linux":
            raise InputError(f"programs cannot be run on {sys.platform}: {ADVICE}")
        theirs_in, self._requests = os.pipe()
        self._answers, theirs_out = os.pipe()
        os.set_blocking(self._requests, False)
        for pipe in (self._requests, self._answers):  # so that large inputs and outputs go in large pieces
            with contextlib.suppress(OSError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        config = {
            "requests": theirs_in, "answers": theirs_out, "backend": backend, "packages": dict(packages),
            "without": list(without),
        }  # fmt: skip
        script = str(Path(__file__).with_name("start.py"))
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-s", "-P", script, json.dumps(config)],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**_ENVIRONMENT, **{name: os.environ[name] for name in _KEPT if name in os.environ}},
            cwd="/",
        )
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            self.hello = self._header(time.monotonic() + START_SECONDS)
        except (OSError, ValueError) as error:
            self._process.kill()
            said = (self._process.communicate()[1] or b"").decode(errors="replace").strip().splitlines()
            self.close()
            raise InputError(
                f"a worker of the sandbox does not start: {said[-1][:300] if said else type(error).__name__}"
            ) from error
        if "unavailable" in self.hello:
            self.close()
            raise InputError(f"programs cannot be run here: {self.hello['unavailable']}; {ADVICE}")

    def run(self, job: Job) -> Run:
        """Return the run of a job; "broken" where the worker did not answer, after which it is of no use."""
        header, payload = _message(job)
        end = time.monotonic() + job.limits.wall * BUSY + GRACE_SECONDS
        try:
            text = json.dumps(header).encode()
            self._send(len(text).to_bytes(4, "big") + text + payload[0], end)
            for part in payload[1:]:
                self._send(part, end)
            answer = self._header(end)
            if "broken" in answer:
                return Run("broken", str(answer["broken"]))
            return _run_of(answer, [self._read(size, end) for size in answer["sizes"]])
        except (OSError, ValueError, KeyError, TypeError) as error:
            return Run("broken", f"the worker does not answer: {type(error).__name__}")

    def close(self) -> None:
        """End the worker and everything in it."""
        for pipe in (self._requests, self._answers):
            with contextlib.suppress(OSError):
                os.close(pipe)
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _send(self, message: bytes, end: float) -> None:
        view = memoryview(message)
        while view:
            try:
                view = view[os.write(self._requests, view) :]
            except BlockingIOError:
                _ready(self._requests, select.POLLOUT, end)

    def _header(self, end: float) -> dict[str, Any]:
        size = int.from_bytes(self._read(4, end), "big")
        header: dict[str, Any] = json.loads(self._read(size, end))
        return header

    def _read(self, size: int, end: float) -> bytes:
        read = bytearray(size)
        left = memoryview(read)
        while left:
            _ready(self._answers, select.POLLIN, end)
            count = os.readv(self._answers, [left])
            if not count:
                raise OSError("the worker is gone")
            left = left[count:]
        return bytes(read)


_ENVIRONMENT = {
    "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/",
    "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
}  # fmt: skip
"""What a worker and its programs see: the same everywhere, so that a verdict is too."""
_KEPT = ("LD_LIBRARY_PATH",)


def _ready(pipe: int, event: int, end: float) -> None:
    poll = select.poll()
    poll.register(pipe, event)
    left = end - time.monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise TimeoutError


def _message(job: Job) -> tuple[dict[str, Any], list[bytes]]:
    """Return the header of a job, and what follows it in the pipe."""
    programs = [_encoded(text) for text in job.programs]
    arguments = [_encoded(job.call.arguments)] if job.call else []
    tests = [_encoded(job.assertions.setup), _encoded(job.assertions.tests)] if job.assertions else []
    limits = job.limits
    header = {
        "kind": "call" if job.call else "assertions" if job.assertions else "main",
        "entry": job.call.entry if job.call else job.assertions.entry if job.assertions else "",
        "programs": [len(text) for text in programs],
        "arguments": [len(text) for text in arguments],
        "stdin": len(job.stdin),
        "tests": [len(text) for text in tests],
        "prelude": job.prelude,
        "captured": job.captured,
        "packages": list(job.packages),
        "limits": {
            "cpu_seconds": limits.cpu_seconds, "wall_seconds": limits.wall, "memory_mb": limits.memory_mb,
            "output_mb": limits.output_mb, "threads": limits.threads,
        },
    }  # fmt: skip
    return header, [b"".join([*programs, *arguments]), job.stdin, *tests]


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _run_of(answer: Mapping[str, Any], blobs: Sequence[bytes]) -> Run:
    stdout, stderr, report, *tests = blobs
    status, detail = _ending(answer, report)
    return Run(
        status,
        detail,
        stdout,
        stderr,
        report,
        tests[0] if tests else b"",
        answer["program"],
        answer["cpu"],
        answer["wall"],
        answer["memory"],
    )


def _ending(answer: Mapping[str, Any], report: bytes) -> tuple[Status, str]:
    if answer["status"] in ("cpu", "wall"):
        return answer["status"], ""
    if answer["full"] or answer["signal"] == 25:
        return "output", ""
    if answer["signal"] and not (answer["stopped"] and answer["signal"] == 9):
        return "signal", str(answer["signal"])
    said = _error_in(report) if answer["exit"] else {}
    name = str(said.get("error", ""))
    if name == "MemoryError":
        return "memory", ""
    if name == "OutputLimit":
        return "output", ""
    if said.get("refused"):
        return "refused", re.sub(r"\W", "", str(said["refused"]))[:40]
    return ("error", re.sub(r"\W", "", name)[:60]) if name else ("exited", "")


def _error_in(report: bytes) -> dict[str, Any]:
    """Return a report on an exception, which is short; nothing where the report is of another kind."""
    if len(report) > LONGEST_ERROR:
        return {}
    try:
        said = json.loads(report)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
