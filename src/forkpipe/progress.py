"""Progress of long work as plain log lines: readable in a terminal, in a file and on a cluster alike."""

import logging
import time

logger = logging.getLogger("forkpipe")

INTERVAL_SECONDS = 5.0


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
