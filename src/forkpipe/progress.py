"""Progress of long work as plain log lines: readable in a terminal, in a file and on a cluster alike."""

import logging
import sys
import time
from collections.abc import Callable

logger = logging.getLogger("forkpipe")

INTERVAL_SECONDS = 5.0
LIVE_SECONDS = 0.2
"""How often a line on a terminal is written anew."""


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
    """A line that is written anew where it stands on a terminal, and every few seconds as a log line elsewhere."""

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
        if self._live:
            if not self._over:
                self._over = list(logging.getLogger().handlers)
                for handler in self._over:
                    handler.addFilter(self._clear)
            sys.stderr.write(f"\r\x1b[2K{line()}")
            sys.stderr.flush()
        else:
            logger.info("%s", line())

    def close(self, line: str) -> None:
        """Log the last line."""
        logger.info("%s", line)
        for handler in self._over:
            handler.removeFilter(self._clear)
        self._over = []

    def _clear(self, record: logging.LogRecord) -> bool:
        """Make room for a log line."""
        sys.stderr.write("\r\x1b[2K")
        return True
