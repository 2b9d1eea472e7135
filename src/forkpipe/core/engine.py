"""The protocol of engines, which complete requests: programs, files, models in this process, servers."""

import json
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from forkpipe.core.records import Completion, Request


@runtime_checkable
class Engine(Protocol):
    """Completes requests.

    The constructor is cheap: it checks its options (`InputError`) and loads nothing; the first `generate` loads what is
    heavy. `version` is declared by hand and raised when the same request would be completed differently. `identity`
    names every option, and whatever else, that changes a completion (a model's name, the content of a file, but no
    batch size): it alone decides which options make results stale, and whether a stored completion still counts. An
    engine that sends its work to servers has `at_servers = True`: teachers with such engines are asked side by side,
    each from a thread of its own.
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


def described(engine: Engine, checkpoint: str = "") -> str:
    """Return version and identity of an engine, without the path of the checkpoint that it samples.

    Requests for a checkpoint hold its digest, so a folder that was moved is the same checkpoint.
    """
    identity = engine.identity
    if checkpoint:
        for written in (json.dumps(checkpoint)[1:-1], checkpoint):  # some identities are JSON
            identity = identity.replace(written, "checkpoint")
    return f"{getattr(engine, 'version', '')} {identity}"
