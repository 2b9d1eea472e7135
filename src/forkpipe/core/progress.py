"""Progress of long work as plain log lines: readable in a terminal, in a file and on a cluster alike."""

import logging
import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import ClassVar

logger = logging.getLogger("forkpipe")

INTERVAL_SECONDS = 5.0
LIVE_SECONDS = 0.2
"""Shortest time between two updates of the line on a terminal."""
CLEAR = "\r\x1b[2K"


class Progress:
    """Logs how far a job is: at most every few seconds, and at its end."""

    def __init__(self, name: str, total: int, *, unit: str) -> None:
        self.name = name
        self.total = total
        self.unit = unit
        self.started = self.last = time.monotonic()

    def update(self, done: int, detail: str = "") -> None:
        """Log that `done` units are done, unless the last line is too recent and the job has not ended."""
        now = time.monotonic()
        if done < self.total and now - self.last < INTERVAL_SECONDS:
            return
        self.last = now
        elapsed = now - self.started
        left = f", about {elapsed / done * (self.total - done):.0f} s left" if 0 < done < self.total else ""
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
