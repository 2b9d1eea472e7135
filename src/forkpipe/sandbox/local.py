"""The sandbox of this machine: workers that fork a confined child for each run, spoken to through pipes.

Each worker is spoken to by one thread at a time. A worker that breaks is replaced, and its run is tried once more
before it is called broken.
"""

import os
import queue
import re
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.sandbox.base import Job, Run
from forkpipe.sandbox.confine import LAYERS
from forkpipe.sandbox.connection import WorkerProcess

VERSION = "2"
"""Raised when a program's run can end otherwise."""

BACKENDS = ("auto", "namespaces", "landlock")
PROOF = "FORKPIPE_SANDBOX_PROOF"
"""Environment variable without which no layer can be switched off."""


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
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        self.workers = workers or cores or 1
        self.name = f"local {VERSION}"
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._threads: ThreadPoolExecutor | None = None
        self._idle: queue.SimpleQueue[WorkerProcess] = queue.SimpleQueue()

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

    def _run(self, idle: "queue.SimpleQueue[WorkerProcess]", job: Job) -> Run:
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

    def _start(self) -> "WorkerProcess":
        return WorkerProcess(self._backend, self._packages, self._without)

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
