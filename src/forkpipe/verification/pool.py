"""Worker processes for comparisons: a hard kill, a memory limit, and one lost verdict at most for a worker that dies.

Each worker is a process of its own, spoken to through its pipes by one thread here, which knows which comparison it
gave
it. So nothing has to be found out when a worker dies, no other comparison is touched, the script that verifies needs no
`__main__` guard, and processes that may not have children by multiprocessing can verify too.
"""

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.verification.compare import Finding

START_SECONDS = 120.0
"""A worker imports sympy before it is ready: seconds, or many of them on a busy machine with a cold disk."""

Pair = tuple[str, str | None]
"""Gold and predicted answer; None in place of the prediction asks only whether the gold answer can be read."""


class WorkerPool:
    """Compares pairs in worker processes that start when needed and end with `close`, or with this process.

    Threads may share a pool; a process that was forked from its owner starts workers of its own.

    Args:
        timeout_seconds: for one comparison, from when a worker has it.
        workers: processes at most.
        memory_mb: address space of each.
        without: names of rules that are switched off.
        task: what the workers do with a pair, see `worker.TASKS`.
    """

    def __init__(
        self, timeout_seconds: float, workers: int, memory_mb: int, without: Sequence[str], task: str = "compare"
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._workers = workers
        self._memory_mb = memory_mb
        self._without = list(without)
        self._task = task
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._threads: ThreadPoolExecutor | None = None
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()

    def compare(self, pairs: Sequence[Pair]) -> list[Finding]:
        """Return a finding a pair, in order.

        Raises:
            InputError: a worker does not start.
        """
        futures = self._submit(pairs)
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:  # where one raised, the others would only raise too
                future.cancel()

    def _submit(self, pairs: Sequence[Pair]) -> list["Future[Finding]"]:
        with self._lock:
            if self._owner != os.getpid():  # a fork has neither the threads nor a right to the pipes
                self._reset()
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._workers, thread_name_prefix="forkpipe-verify")
            return [self._threads.submit(self._ask, self._idle, pair) for pair in pairs]

    def _ask(self, workers: "queue.SimpleQueue[_Worker]", pair: Pair) -> Finding:
        try:
            worker = workers.get_nowait()
        except queue.Empty:
            worker = _Worker(self._memory_mb)
        finding = worker.compare([self._task, *pair, self._without, self._timeout_seconds], self._timeout_seconds)
        if worker.alive:
            workers.put(worker)
        return finding

    def started(self) -> bool:
        """Say whether any worker was needed so far."""
        return self._threads is not None and self._owner == os.getpid()

    def close(self) -> None:
        """End the workers once they are done with what was asked; a later call starts them anew."""
        with self._lock:
            if self._owner != os.getpid():
                return
            threads, idle = self._threads, self._idle
            self._reset()
        if threads is not None:
            threads.shutdown()
            with contextlib.suppress(queue.Empty):
                while True:
                    idle.get_nowait().kill()


class _Worker:
    """One worker process and its pipes; used by one thread at a time."""

    def __init__(self, memory_mb: int) -> None:
        source = str(Path(__file__).parents[2])
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(dict.fromkeys([source, *filter(None, sys.path)])),
            "PYTHONHASHSEED": "0",  # sympy's order of terms, and with it what it can simplify, follows hashes
            "OMP_NUM_THREADS": "1",
        }
        self.alive = True
        self._read = b""
        self._child = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "forkpipe.verification.worker", str(memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # an interrupt from the keyboard is for the caller to handle
        )
        if not self._is_ready():
            self._process.kill()
            said = self._process.communicate()[1].decode(errors="replace").strip().splitlines()
            raise InputError(
                "the verification workers do not start: is math-verify[antlr4-13-2] installed? "
                f"They say: {said[-1] if said else 'nothing'}"
            )

    def _is_ready(self) -> bool:
        """Wait for a fork to say that it is there."""
        try:
            return self._is_new_fork(self._line(START_SECONDS))
        except (OSError, ValueError):
            return False

    def _is_new_fork(self, message: Any) -> bool:
        if not isinstance(message, list) or message[0] != "ready":
            return False
        self._child = int(message[1])
        return True

    def compare(self, request: list[Any], seconds: float) -> Finding:
        """Return the finding on one request; where that is "timeout" or "worker-died", another fork is at work."""
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            answer = self._line(seconds)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
            answer = self._after_kill()
            return Finding("timeout") if answer is None else answer
        except OSError:  # the pipe broke: it died before it was asked
            answer = None
        if answer is None:
            self.kill()
        if answer is None or self._is_new_fork(answer):  # the fork died and was replaced
            return Finding("worker-died", "worker-died")
        return Finding(*answer)

    def _after_kill(self) -> Finding | None:
        """Wait for the next fork; return the finding if it came after all, just before the kill."""
        finding = None
        try:
            while not self._is_new_fork(message := self._line(START_SECONDS)):
                if message is None:
                    break
                finding = Finding(*message)
            else:
                return finding
        except (OSError, ValueError):
            pass
        self.kill()
        return finding

    def kill(self) -> None:
        """End the process and its fork, whatever they do, and give the pipes back."""
        self.alive = False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not flushed has no reader any more
                    pipe.close()

    def _line(self, seconds: float) -> Any:
        """Return the next message, None at the end of output; TimeoutError if it does not come in time."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        end = time.monotonic() + seconds
        while b"\n" not in self._read:
            left = end - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError
            block = os.read(descriptor, 1 << 16)
            if not block:
                return None
            self._read += block
        line, _, self._read = self._read.partition(b"\n")
        return json.loads(line)
