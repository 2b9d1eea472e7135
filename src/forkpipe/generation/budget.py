"""The limits of a run: tokens, money, time."""

import threading
import time

from forkpipe.core.records import Completion
from forkpipe.parameters import LimitSettings, TeacherSettings

PER = 1_000_000
"""The number of tokens that prices are for."""


class Budget:
    """Adds up what a run spends, over all teachers and from several threads."""

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._tokens = 0
        self._price = 0.0
        self._started = time.monotonic()
        self._guard = threading.Lock()

    def spend(self, completion: Completion, teacher: TeacherSettings) -> None:
        """Count an answer."""
        with self._guard:
            self._tokens += completion.tokens_in + completion.tokens_out
            self._price += price_of(teacher, completion.tokens_in, completion.tokens_out) or 0.0

    def reached(self) -> str:
        """Return which limit is reached; an empty text if the run may go on."""
        limits, minutes = self._limits, (time.monotonic() - self._started) / 60
        if limits.tokens is not None and self._tokens >= limits.tokens:
            return f"generation.limits.tokens is {limits.tokens}, this run has spent {self._tokens}"
        if limits.price is not None and self._price >= limits.price:
            return f"generation.limits.price is {limits.price:g}, this run has spent {self._price:.4g}"
        if limits.minutes is not None and minutes >= limits.minutes:
            return f"generation.limits.minutes is {limits.minutes:g}, this run has taken {minutes:.3g}"
        return ""


def price_of(teacher: TeacherSettings, tokens_in: int, tokens_out: int) -> float | None:
    """Return the price of tokens, None if the teacher has no price."""
    if teacher.price is None:
        return None
    return (teacher.price.input * tokens_in + teacher.price.output * tokens_out) / PER
