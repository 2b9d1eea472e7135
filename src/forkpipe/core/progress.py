"""Progress of long work as plain log lines: readable in a terminal, in a file and on a cluster alike."""

import logging
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import ClassVar

logger = logging.getLogger("forkpipe")

INTERVAL_SECONDS = 5.0
LIVE_SECONDS = 0.2
"""Shortest time between two updates of the line on a terminal."""
CLEAR = "\r\x1b[2K"


class Progress:
    """Logs how far a job is: at most every few seconds, and at its end.

    The time left follows from the work of this run alone: what an earlier run has done took none of its time.

    Args:
        name: of the job.
        total: number of its units.
        unit: what is counted.
        done: units that were done before.
        sizes: how much work each unit is, in the order in which they are done, where that is known and they differ.
    """

    def __init__(
        self, name: str, total: int, *, unit: str, done: int = 0, sizes: Sequence[float] | None = None
    ) -> None:
        self.name = name
        self.total = total
        self.unit = unit
        self._work = [float(n) for n in range(total + 1)] if sizes is None else [0.0, *accumulate(sizes)]
        self.begin(done)

    def begin(self, done: int) -> None:
        """Start the clock, with so many units done before."""
        self.started = self.last = time.monotonic()
        self._before = done

    def seconds_left(self, done: int, elapsed: float) -> float | None:
        """Return how long the rest takes at the rate so far, None where nothing is done or left."""
        worked = self._work[done] - self._work[self._before]
        left = self._work[-1] - self._work[done]
        return elapsed / worked * left if worked > 0 and left > 0 else None

    def update(self, done: int, detail: str = "") -> None:
        """Log that `done` units are done, unless the last line is too recent and the job has not ended."""
        now = time.monotonic()
        if done < self.total and now - self.last < INTERVAL_SECONDS:
            return
        self.last = now
        elapsed = now - self.started
        seconds = self.seconds_left(done, elapsed)
        left = "" if seconds is None else f", about {seconds:.0f} s left"
        extra = f", {detail}" if detail else ""
        logger.info("%s: %d of %d %s in %.0f s%s%s", self.name, done, self.total, self.unit, elapsed, extra, left)


class StatusLine:
    """A line of progress: rewritten in place on a terminal, logged every few seconds elsewhere.

    Jobs that run at the same time have a `StatusLine` each; on a terminal, all of them share one line.
    """

    _shown: ClassVar[dict["StatusLine", str]] = {}
    _guard: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._last = time.monotonic()
        self._handlers: list[logging.Handler] = []

    def show(self, line: Callable[[], str]) -> None:
        """Show what `line` returns; it is called only if the line shown last is old enough."""
        now = time.monotonic()
        if now - self._last < (LIVE_SECONDS if self._live else INTERVAL_SECONDS):
            return
        self._last = now
        if not self._live:
            logger.info("%s", line())
            return
        with self._guard:
            if not self._handlers:
                self._handlers = list(logging.getLogger().handlers)
                for handler in self._handlers:
                    handler.addFilter(self._clear)
            self._shown[self] = line()
            text = " | ".join(self._shown.values())
            # Cut to the terminal's width: a wrapped line cannot be erased.
            sys.stderr.write(f"{CLEAR}{text[: shutil.get_terminal_size().columns - 1]}")
            sys.stderr.flush()

    def close(self, line: str) -> None:
        """Remove the line from the terminal, and log a last one."""
        with self._guard:
            self._shown.pop(self, None)
        logger.info("%s", line)
        for handler in self._handlers:
            handler.removeFilter(self._clear)
        self._handlers = []

    def _clear(self, record: logging.LogRecord) -> bool:
        """Erase the line before a log handler writes; a filter that lets every record pass."""
        sys.stderr.write(CLEAR)
        return True
