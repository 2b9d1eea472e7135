"""Progress of a teacher: a status line while it is asked, and a summary at the end."""

import time

from forkpipe.core.progress import StatusLine
from forkpipe.core.records import Completion
from forkpipe.generation.budget import price_of
from forkpipe.parameters import TeacherSettings


class Meter:
    """Counts the answers of one teacher in one run, and shows the progress."""

    def __init__(self, name: str, teacher: TeacherSettings, total: int) -> None:
        self.done = self.failed = self.tokens_in = self.tokens_out = 0
        self._name = name
        self._teacher = teacher
        self._total = total
        self._started = time.monotonic()
        self._error = ""
        self._line = StatusLine()

    def count(self, completion: Completion) -> None:
        """Count an answer."""
        self.done += 1
        if completion.finish_reason == "error":
            self.failed, self._error = self.failed + 1, completion.error
        self.tokens_in += completion.tokens_in
        self.tokens_out += completion.tokens_out
        self._line.show(self._text)

    def close(self) -> None:
        """Show the summary."""
        if self.done:
            self._line.close(self._text(ended=True))

    def _text(self, ended: bool = False) -> str:
        elapsed = time.monotonic() - self._started
        speed = self.tokens_out / max(elapsed, 1e-9)
        parts = [f"{self.done} of {self._total} answered", f"{self.failed} failed", f"{speed:.0f} tokens/s"]
        price = price_of(self._teacher, self.tokens_in, self.tokens_out)
        if price is not None:
            parts.append(f"price {price:.4g}")
        left = elapsed / max(self.done, 1) * (self._total - self.done)
        parts.append(f"in {duration(elapsed)}" if ended else f"about {duration(left)} left")
        if self._error:
            parts.append(f"last error: {self._error}")
        return f"teacher {self._name}: " + ", ".join(parts)


def duration(seconds: float) -> str:
    """Return a duration in a readable unit.

    >>> duration(42), duration(60 * 42), duration(3600 * 42)
    ('42 s', '42 min', '42.0 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
