"""What an engine is: something that completes requests, whatever runs behind it."""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from forkpipe.core.records import Completion, Request


@runtime_checkable
class Engine(Protocol):
    """Completes requests.

    Construction is cheap and checks its options (`InputError`); what is heavy is loaded by the first `generate`.
    `version` is declared by hand and raised when the same request would be completed differently. `identity` says what
    else of the engine changes a completion (a model's name, the content of a file, but no batch size); both are part of
    a request's id. An engine whose work is done elsewhere, on servers, has `at_servers = True`: teachers with such an
    engine are asked side by side, each from a thread of its own.
    """

    version: str
    identity: str

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield one completion a request, in completion order, each as soon as it is there.

        A request that fails yields a completion with finish_reason "error"; only a fault of the engine as a
        whole raises.
        """
        ...

    def samples_held(self, problem: str) -> int | None:
        """Return how many samples the engine can give for a problem, None where it can give any number."""
        ...

    def close(self) -> None:
        """Free what the engine holds (memory, processes, connections)."""
        ...
