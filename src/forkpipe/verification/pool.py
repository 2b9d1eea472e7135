"""Worker processes for comparisons: limits of processor time and memory, and one lost verdict at most for each death.

Each worker is a process of its own, spoken to through its pipes by one thread here, which knows which comparison it
gave it. So nothing has to be found out when a worker dies, no other comparison is touched, the script that verifies
needs no `__main__` guard, and processes that may not have children by multiprocessing can verify too.
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
from forkpipe.verification.worker import TIMEOUT

START_SECONDS = 120.0
"""A worker imports sympy before it is ready: seconds, or many of them on a busy machine with a cold disk."""

WALL_FACTOR = 60.0
"""Seconds of waiting for each second of processor time, on top of START_SECONDS; then a worker hangs and is killed."""

END_SECONDS = 2.0
"""What idle workers may take to see that their input has ended."""

Pair = tuple[str, str | None]
"""Gold and predicted answer; None in place of the prediction asks only whether the gold answer can be read."""


class WorkerPool:
    """Compares pairs in worker processes that start when needed and end with `close`, or with this process.

    Threads may share a pool; a process that was forked from its owner starts workers of its own.

    Args:
        timeout_seconds: processor time of one comparison; what exceeds it is tried once more, after all others.
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
        self._team = _Team(self._workers, self._memory_mb)

    def compare(self, pairs: Sequence[Pair]) -> list[Finding]:
        """Return a finding a pair, in order.

        Raises:
            InputError: a worker does not start.
        """
        findings = self._ask_all(pairs)
        for index, finding in enumerate(findings):
            if finding.name == "timeout":  # others at work can slow a comparison down: once more without them
                findings[index] = self._ask_all([pairs[index]])[0]
        return findings

    def _ask_all(self, pairs: Sequence[Pair]) -> list[Finding]:
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
            return [self._threads.submit(self._ask, self._team, pair) for pair in pairs]

    def _ask(self, team: "_Team", pair: Pair) -> Finding:
        worker = team.take()
        finding = worker.compare([self._task, *pair, self._without, self._timeout_seconds], self._timeout_seconds)
        if worker.alive:
            team.idle.put(worker)
        return finding

    def started(self) -> bool:
        """Say whether any worker was needed so far."""
        return self._threads is not None and self._owner == os.getpid()

    def close(self) -> None:
        """End the workers once they are done with what was asked; a later call starts them anew."""
        with self._lock:
            if self._owner != os.getpid():
                return
            threads, team = self._threads, self._team
            self._reset()
        if threads is not None:
            threads.shutdown()
            team.end()


class _Team:
    """The workers that are idle, and the processes that keep them at work."""

    def __init__(self, workers: int, memory_mb: int) -> None:
        self.idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._workers = workers
        self._memory_mb = memory_mb
        self._starting = threading.Lock()
        self._processes: list[subprocess.Popen[bytes]] = []

    def take(self) -> "_Worker":
        """Return an idle worker; there is one for every thread unless none was started yet, or all were lost."""
        with self._starting:
            try:
                return self.idle.get_nowait()
            except queue.Empty:
                first, *others = self._start()
                for worker in others:
                    self.idle.put(worker)
                return first

    def end(self) -> None:
        """Close the pipes, at which the processes end; those that do not are killed."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.idle.get_nowait().close()
        for process in self._processes:
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stderr is not None:
                process.stderr.close()

    def _start(self) -> "list[_Worker]":
        source = str(Path(__file__).parents[2])
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(dict.fromkeys([source, *filter(None, sys.path)])),
            "PYTHONHASHSEED": "0",  # sympy's order of terms, and with it what it can simplify, follows hashes
            "OMP_NUM_THREADS": "1",
        }
        pipes = [(os.pipe(), os.pipe()) for _ in range(self._workers)]
        theirs = [(requests[0], answers[1]) for requests, answers in pipes]
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "forkpipe.verification.worker", str(self._memory_mb)),
                *(f"{incoming}:{outgoing}" for incoming, outgoing in theirs),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[descriptor for pair in theirs for descriptor in pair],
            env=environment,
            start_new_session=True,  # an interrupt from the keyboard is for the caller to handle
        )
        self._processes.append(process)
        for pair in theirs:
            for descriptor in pair:
                os.close(descriptor)
        workers = [_Worker(requests[1], answers[0]) for requests, answers in pipes]
        if not all(worker.is_ready() for worker in workers):
            process.kill()
            said = process.communicate()[1].decode(errors="replace").strip().splitlines()
            for worker in workers:
                worker.close()
            raise InputError(
                "the verification workers do not start: is math-verify[antlr4-13-2] installed? "
                f"They say: {said[-1] if said else 'nothing'}"
            )
        return workers


class _Worker:
    """The pipes of one worker; used by one thread at a time."""

    def __init__(self, requests: int, answers: int) -> None:
        self.alive = True
        self.child = 0
        self._replaced = ""
        self._requests = requests
        self._answers = answers
        self._read = b""

    def is_ready(self) -> bool:
        """Wait for a fork to say that it is there."""
        try:
            return self._is_new_fork(self._line(START_SECONDS))
        except (OSError, ValueError):
            return False

    def _is_new_fork(self, message: Any) -> bool:
        if not isinstance(message, list) or message[0] != "ready":
            return False
        self.child = int(message[1])
        self._replaced = message[2]
        return True

    def compare(self, request: list[Any], seconds: float) -> Finding:
        """Return the finding on one request; where that is "timeout" or "worker-died", another fork is at work."""
        try:
            message = json.dumps(request).encode() + b"\n"
            while message:
                message = message[os.write(self._requests, message) :]
            answer = self._line(START_SECONDS + WALL_FACTOR * seconds)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.child, signal.SIGKILL)
            answer = self._after_kill()
            return Finding("timeout") if answer is None else answer
        except OSError:  # the pipe broke: it died before it was asked
            answer = None
        if answer is None:
            self.close()
        if answer is None or self._is_new_fork(answer):  # the fork ended and was replaced
            if answer is not None and self._replaced == TIMEOUT:
                return Finding("timeout")
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
        self.close()
        return finding

    def close(self) -> None:
        """Give the pipes back; nothing can be asked any more."""
        if self.alive:
            self.alive = False
            os.close(self._requests)
            os.close(self._answers)

    def _line(self, seconds: float) -> Any:
        """Return the next message, None at the end of output; TimeoutError if it does not come in time."""
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        end = time.monotonic() + seconds
        while b"\n" not in self._read:
            left = end - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError
            block = os.read(self._answers, 1 << 16)
            if not block:
                return None
            self._read += block
        line, _, self._read = self._read.partition(b"\n")
        return json.loads(line)
