"""The protocol of engines. An engine completes requests: a program, a file, a model in this process, or a server."""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from forkpipe.core.records import Completion, Request


@runtime_checkable
class Engine(Protocol):
    """Completes requests.

    The constructor is cheap: it checks its options (`InputError`) and loads nothing. The first call of `generate` loads
    models and starts processes. `version` is set by hand; raise it when the engine would complete the same request
    differently. `identity` names everything else that changes a completion: a model's name, the content of a file, but
    not a batch size. It decides which options make results stale, and whether a stored completion still counts. An
    engine that sends its work to servers sets `at_servers = True`: teachers with such engines are asked at the same
    time, each from its own thread. An engine that needs no memory for a model sets `holds_model = False`, so that it
    may stay open beside others. An engine whose samples exist beforehand, such as rows of a file, may have
    `sample_identity(problem, sample)`: what it returns is part of a request's id in place of `identity`, so that a
    changed sample is asked again and no other.
    """

    version: str
    identity: str

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield one completion for each request, as soon as it is finished, in any order.

        For a request that fails, yield a completion with finish_reason "error", and an error that begins with
        "refused: " if asking again cannot help. Raise only if the engine as a whole cannot go on.
        """
        ...

    def samples_held(self, problem: str) -> int | None:
        """Return how many samples the engine can give for a problem, None for any number."""
        return None

    def close(self) -> None:
        """Free memory, processes and connections."""
        ...


def described(engine: Engine) -> str:
    """Return the version and identity of an engine."""
    return f"{getattr(engine, 'version', '')} {engine.identity}"
