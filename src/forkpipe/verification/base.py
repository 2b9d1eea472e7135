"""What a verifier is: something that compares responses with gold answers."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from forkpipe.core.records import Verdict


@runtime_checkable
class Verifier(Protocol):
    """Compares responses with gold answers.

    `version` is declared by hand and raised when a verdict can change; it stands in every verdict's row. A verifier
    that needs more of a problem than its answer has `gold_of(problem)` too, which returns the gold answer as text.
    """

    name: str
    version: str

    def verify(self, gold: Sequence[str], responses: Sequence[str], truncated: Sequence[bool]) -> list[Verdict]:
        """Return one verdict a response, in order; never raises for anything a response holds."""
        ...

    def check_gold(self, golds: Sequence[str]) -> list[bool]:
        """Say of each gold answer whether responses can be compared with it, in order."""
        ...

    def close(self) -> None:
        """End worker processes."""
        ...
