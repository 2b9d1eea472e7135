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
"""How often a line on a terminal is written anew."""
CLEAR = "\r\x1b[2K"


class Progress:
    """Says how far a job is, at most every few seconds, and at its end.

    Args:
        name: what is being done.
        total: number of units.
        unit: what is counted.
    """

    def __init__(self, name: str, total: int, *, unit: str) -> None:
        self.name = name
        self.total = total
        self.unit = unit
        self.started = self.last = time.monotonic()

    def update(self, done: int, detail: str = "") -> None:
        """Report `done` units; says nothing if it spoke a moment ago and the job is not at its end."""
        now = time.monotonic()
        if done < self.total and now - self.last < INTERVAL_SECONDS:
            return
        self.last = now
        elapsed = now - self.started
        left = f", about {elapsed / done * (self.total - done):.0f} s left" if 0 < done < self.total else ""
        extra = f", {detail}" if detail else ""
        logger.info("%s: %d of %d %s in %.0f s%s%s", self.name, done, self.total, self.unit, elapsed, extra, left)


class StatusLine:
    """A line that is written anew where it stands on a terminal, and every few seconds as a log line elsewhere.

    Jobs that run side by side, each with a line of its own, share the one of the terminal.
    """

    _shown: ClassVar[dict["StatusLine", str]] = {}
    _guard: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._last = time.monotonic()
        self._over: list[logging.Handler] = []

    def show(self, line: Callable[[], str]) -> None:
        """Show a line, which is made only if the last one is old enough."""
        now = time.monotonic()
        if now - self._last < (LIVE_SECONDS if self._live else INTERVAL_SECONDS):
            return
        self._last = now
        if not self._live:
            logger.info("%s", line())
            return
        with self._guard:
            if not self._over:
                self._over = list(logging.getLogger().handlers)
                for handler in self._over:
                    handler.addFilter(self._clear)
            self._shown[self] = line()
            text = " | ".join(self._shown.values())
            # What wraps could not be taken back.
            sys.stderr.write(f"{CLEAR}{text[: shutil.get_terminal_size().columns - 1]}")
            sys.stderr.flush()

    def close(self, line: str) -> None:
        """Log the last line."""
        with self._guard:
            self._shown.pop(self, None)
        logger.info("%s", line)
        for handler in self._over:
            handler.removeFilter(self._clear)
        self._over = []

    def _clear(self, record: logging.LogRecord) -> bool:
        """Make room for a log line."""
        sys.stderr.write(CLEAR)
        return True
