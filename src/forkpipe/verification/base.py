"""What a verifier is: something that compares responses with gold answers."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from forkpipe.core.records import Verdict


@runtime_checkable
class Verifier(Protocol):
    """Compares responses with gold answers.

    `version` is declared by hand and raised when a verdict can change; it stands in every verdict's row.
    """

    name: str
    version: str

    def verify(self, gold: Sequence[str], responses: Sequence[str], truncated: Sequence[bool]) -> list[Verdict]:
        """Return one verdict a response, in order; never raises for anything a response holds."""
        ...

    def close(self) -> None:
        """End worker processes."""
        ...
