"""Worker processes on this machine: each speaks through its pipes, so nothing needs a `__main__` guard or a fork."""

import contextlib
import io
import os
import pickle
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from forkpipe.core.errors import InputError
from forkpipe.core.progress import logger
from forkpipe.parallel.chunks import AHEAD, UNDER_WAY, Applied, Chunk, chunks_of
from forkpipe.parallel.worker import read, write

MOST_DEATHS = 3
"""Workers that may die on a chunk, say for lack of memory, before the run ends."""
END_SECONDS = 2.0


def over_processes(function: Callable[[Any], Any], items: Iterable[Any], count: int) -> Iterator[Any]:
    """Yield what a function makes of items, in order, by so many worker processes; see `mapped.mapped`."""
    sent = b""
    workers: list[_Worker] = []
    fresh = enumerate(chunks_of(items))
    again: deque[tuple[int, Chunk]] = deque()
    deaths: dict[int, int] = {}
    done: dict[int, Applied] = {}
    out = given = 0
    """Chunks whose results were passed on, and chunks that were given to workers for the first time."""
    try:
        while True:
            while again or given - out < AHEAD * count:
                if workers and min(len(worker.chunks) for worker in workers) >= UNDER_WAY:
                    break
                following = again.popleft() if again else next(fresh, None)
                if following is None:
                    break
                number, chunk = following
                given = max(given, number + 1)
                if isinstance(chunk, Applied):
                    done[number] = chunk
                    continue
                if not workers:
                    sent = pickle.dumps(function, pickle.HIGHEST_PROTOCOL)
                    workers = [_Worker(sent) for _ in range(count)]
                min(workers, key=lambda worker: len(worker.chunks)).give(number, chunk)
            if out in done:
                yield from done.pop(out).unwrapped()
                out += 1
                continue
            if not any(worker.chunks for worker in workers):
                return
            for worker in _with_news([worker for worker in workers if worker.chunks]):
                try:
                    number, result = worker.take()
                    done[number] = result
                except EOFError:
                    again.extendleft(reversed(_lost(worker, deaths)))
                    workers[workers.index(worker)] = _Worker(sent)
    finally:
        for worker in workers:
            worker.end()


def _with_news(workers: "list[_Worker]") -> "list[_Worker]":
    """Wait until one of the workers has answered or ended; return all that have."""
    with selectors.DefaultSelector() as selector:
        for worker in workers:
            selector.register(worker.answers, selectors.EVENT_READ, worker)
        return [key.data for key, _ in selector.select()]


def _lost(worker: "_Worker", deaths: dict[int, int]) -> list[tuple[int, Chunk]]:
    """Return the chunks that a dead worker had; InputError where too many died on the one that it worked on."""
    status = worker.end()
    number, chunk = worker.chunks[0]
    deaths[number] = deaths.get(number, 0) + 1
    ended = f"signal {-status}" if status < 0 else f"exit code {status}"
    if deaths[number] >= MOST_DEATHS:
        raise InputError(
            f"{MOST_DEATHS} worker processes ended ({ended}) on the same {len(chunk)} items: "
            "is there too little memory for parallel.workers?"
        )
    logger.warning("a worker process ended (%s): what it had not done is done again", ended)
    return list(worker.chunks)


class _Worker:
    """A worker process, and the chunks that it has not answered yet, by their numbers."""

    def __init__(self, function: bytes) -> None:
        self.chunks: deque[tuple[int, Chunk]] = deque()
        source = str(Path(__file__).parents[2])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "forkpipe.parallel.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # what is read ahead would not show when all workers are waited for
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(dict.fromkeys([source, *filter(None, sys.path)])),
                "OMP_NUM_THREADS": "1",
            },
            start_new_session=True,  # an interrupt from the keyboard is for the caller to handle
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests = io.BufferedWriter(cast(io.RawIOBase, self._process.stdin))
        self.answers = self._process.stdout
        self._say(function)

    def give(self, number: int, chunk: Chunk) -> None:
        """Send a chunk. A worker that has died is noticed when its answer is taken."""
        self.chunks.append((number, chunk))
        self._say(chunk)

    def take(self) -> tuple[int, Applied]:
        """Return (number of its first chunk, what came of it); EOFError where the worker has ended."""
        result = read(self.answers)
        return self.chunks.popleft()[0], result

    def end(self) -> int:
        """End the process, which may be at work, and return its exit code."""
        for pipe in (self._requests, self.answers):
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            return self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _say(self, message: Any) -> None:
        with contextlib.suppress(BrokenPipeError):
            write(self._requests, message)
