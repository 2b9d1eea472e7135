"""The sandbox of this machine: workers that fork a confined child for each run, spoken to through pipes.

Each worker is spoken to by one thread at a time. A worker that breaks is replaced, and its run is tried once more
before it is called broken.
"""

import contextlib
import json
import os
import queue
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.sandbox.base import BUSY, Job, Run, Status
from forkpipe.sandbox.confine import LAYERS

VERSION = "1"
"""Raised when a program's run can end otherwise."""

START_SECONDS = 60.0
LONGEST_ERROR = 100_000
"""Bytes of a report on an exception."""
GRACE_SECONDS = 60.0
"""What a worker may take beyond the wall limit of a run before it is given up."""
BACKENDS = ("auto", "namespaces", "landlock")
PROOF = "FORKPIPE_SANDBOX_PROOF"
"""Environment variable without which no layer can be switched off."""

ADVICE = (
    "programs are run on Linux 5.13 or newer, x86-64 or aarch64, with seccomp and with Landlock or user namespaces; "
    "Ubuntu 24.04 restricts user namespaces and has Landlock; elsewhere (macOS, Windows, gVisor, old kernels) name a "
    "service as backend: sandbox_fusion or piston"
)


class LocalSandbox:
    """Runs programs in confined processes of this machine.

    Workers start when the first job needs them and end with `close`, or with this process. Threads may share a
    sandbox; a forked process starts workers of its own.

    Args:
        workers: processes, null: one a core.
        backend: auto, namespaces or landlock: which of the two must be there; auto takes both where both work.
        packages: installed packages that programs may import beside the standard library.
        without: layers of `confine.LAYERS` that are left out, for proofs that each of them is needed. Refused unless
            the environment variable FORKPIPE_SANDBOX_PROOF is set.

    Raises:
        InputError: an argument is wrong.
    """

    def __init__(
        self,
        workers: int | None = None,
        backend: str = "auto",
        packages: Sequence[str] = ("numpy",),
        without: Iterable[str] = (),
    ) -> None:
        if backend not in BACKENDS:
            raise InputError(f"sandbox backend is '{backend}', expected one of: {', '.join(BACKENDS)}")
        if workers is not None and workers < 1:
            raise InputError(f"sandbox workers is {workers}, expected at least 1")
        self._without = sorted(without)
        if self._without and PROOF not in os.environ:
            raise InputError(f"sandbox without {self._without}: layers are switched off in proofs only")
        if unknown := set(self._without) - set(LAYERS):
            raise InputError(f"sandbox without names '{min(unknown)}', expected some of: {', '.join(LAYERS)}")
        self._backend = backend
        self._packages = {name: site for name in packages if (site := _site_of(name))}
        self.workers = workers or os.cpu_count() or 1
        self.name = f"local {VERSION}"
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._threads: ThreadPoolExecutor | None = None
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()

    def run(self, jobs: Sequence[Job]) -> list[Run]:
        """Return one run a job, in order; InputError where programs cannot be run on this machine."""
        with self._lock:
            if self._owner != os.getpid():  # a fork has neither the threads nor a right to the pipes
                self._reset()
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="forkpipe-sandbox")
            futures = [self._threads.submit(self._run, self._idle, job) for job in jobs]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:  # where one raised, the others would only raise too
                future.cancel()

    def _run(self, idle: "queue.SimpleQueue[_Worker]", job: Job) -> Run:
        run = Run("broken", "no worker")
        for again in (False, True):
            # Where one worker broke, the idle ones may be no better.
            try:
                worker = self._start() if again else idle.get_nowait()
            except queue.Empty:
                worker = self._start()
            run = worker.run(job)
            if run.status != "broken":
                idle.put(worker)
                break
            worker.close()
        return run

    def _start(self) -> "_Worker":
        return _Worker(self._backend, self._packages, self._without)

    def describe(self) -> dict[str, Any]:
        """Start a worker and return what it says of its layers: ready, problems, packages.

        Raises:
            InputError: programs cannot be run on this machine.
        """
        worker = self._start()
        said = dict(worker.hello)
        with self._lock:
            self._idle.put(worker)
        return said

    def close(self) -> None:
        """End the workers once they are done with what was asked; a later call starts them anew."""
        with self._lock:
            if self._owner != os.getpid():
                return
            threads, idle = self._threads, self._idle
            self._reset()
        if threads is not None:
            threads.shutdown()
        while True:
            try:
                idle.get_nowait().close()
            except queue.Empty:
                return


def _site_of(package: str) -> str | None:
    """Return the folder in which a package is installed, None where it is not."""
    if not re.fullmatch(r"[A-Za-z_]\w*", package):
        raise InputError(f"sandbox packages names '{package}', expected names of packages")
    spec = find_spec(package)
    places = list(spec.submodule_search_locations or []) if spec else []
    return os.path.dirname(places[0]) if places else None


class _Worker:
    """A worker process and its pipes; used by one thread at a time."""

    def __init__(self, backend: str, packages: Mapping[str, str], without: Sequence[str]) -> None:
        """Start a worker; InputError where it says that this machine isolates too little."""
        if sys.platform != "linux":
            raise InputError(f"programs cannot be run on {sys.platform}: {ADVICE}")
        theirs_in, self._requests = os.pipe()
        self._answers, theirs_out = os.pipe()
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
            self._send(len(text).to_bytes(4, "big") + text + payload, end)
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
            _ready(self._requests, select.POLLOUT, end)
            view = view[os.write(self._requests, view[: select.PIPE_BUF]) :]

    def _header(self, end: float) -> dict[str, Any]:
        size = int.from_bytes(self._read(4, end), "big")
        header: dict[str, Any] = json.loads(self._read(size, end))
        return header

    def _read(self, size: int, end: float) -> bytes:
        read = bytearray()
        while len(read) < size:
            _ready(self._answers, select.POLLIN, end)
            block = os.read(self._answers, min(size - len(read), 1 << 20))
            if not block:
                raise OSError("the worker is gone")
            read += block
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


def _message(job: Job) -> tuple[dict[str, Any], bytes]:
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
    return header, b"".join([*programs, *arguments, job.stdin, *tests])


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
