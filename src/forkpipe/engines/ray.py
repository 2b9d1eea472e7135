"""Runs another engine on Ray actors, on a cluster or on this machine.

Each actor holds one engine and works on one batch of requests at a time. Completions are streamed back one by one to
the process that asks, and only that process writes them to disk. Requests that a dead actor had not answered are sent
again.
"""

import os
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.progress import logger
from forkpipe.core.records import Completion, Request
from forkpipe.engines import keys
from forkpipe.engines.registry import create_engine
from forkpipe.engines.serving.options import check_count, check_seconds

SHRINK = 16
"""After an actor has died, its batch is sent again in parts this many times smaller, so that a request that kills
actors is soon alone in its batch: at the default sizes, 256, 16, 1."""

DEATHS_AT_START = 3
"""The run ends when this many actors in a row have died before they were ready."""


@dataclass(kw_only=True, eq=False, repr=False)
class RayEngine:
    """Completes requests with engines on Ray actors; requests have the same ids as with the inner engine.

    Args:
        engine: name of the engine that each actor holds.
        options: options of that engine.
        actors: number of actors.
        address: address of the cluster, "auto" for the one this machine belongs to; null uses RAY_ADDRESS, or starts
            Ray on this machine and stops it when the engine is closed.
        cpus: processors reserved per actor.
        gpus: GPUs reserved per actor; with a fraction, several actors share a GPU.
        batch_rows: requests per batch. At the end of a batch fewer requests are left than the engine could work on, so
            this should be several times what it works on at once.
        attempts: number of actors that may die on a request before it counts as failed.
        start_timeout: seconds within which a first actor must be ready.
    """

    engine: str
    options: Mapping[str, Any] | None = None
    actors: int = 1
    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    batch_rows: int = 256
    attempts: int = 3
    start_timeout: float = 600.0

    def __post_init__(self) -> None:
        if self.engine == "ray":
            raise InputError("engine is 'ray', expected the engine that its actors hold")
        for name in ("actors", "batch_rows", "attempts"):
            check_count(name, getattr(self, name))
        check_seconds(start_timeout=self.start_timeout)
        for name, share in (("cpus", self.cpus), ("gpus", self.gpus)):
            if isinstance(share, bool) or not isinstance(share, int | float) or share < 0:
                raise InputError(f"{name} is {share!r}, expected a number from 0")
        self._made_of = (self.engine, dict(self.options or {}))
        # An unloaded local instance supplies `version` and `identity`; the actors hold the real engines.
        self.inner = create_engine(*self._made_of, "options.engine")
        self.version = self.inner.version
        self.identity = self.inner.identity
        self._resources = {"num_cpus": self.cpus, "num_gpus": self.gpus}
        self._pool: list[_Actor] = []
        self._started_ray = False

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield completions in the order in which the actors finish them; actors live until `close`."""
        if not requests:
            return
        fresh = iter(requests)
        again: deque[Request] = deque()
        deaths: dict[str, int] = {}
        self._start()
        asked = time.monotonic()
        died_at_start = 0
        try:
            while True:
                for actor in self._pool:
                    if actor.ready and not actor.busy and (batch := self._batch(fresh, again, deaths)):
                        actor.give(batch)
                if not any(actor.busy for actor in self._pool) and not (again or not self._pool_ready()):
                    return
                event = self._next(asked)
                if event is None:
                    continue
                actor, completion, fault = event
                if completion is not None:
                    yield completion
                elif fault is not None:
                    died_at_start = 0 if actor.ready else died_at_start + 1
                    if died_at_start >= DEATHS_AT_START:
                        raise InputError(f"{died_at_start} actors in a row died before they were ready: {fault}")
                    yield from self._bury(actor, fault, again, deaths)
        finally:
            # Kill actors still busy with an abandoned batch; the next `generate` would otherwise queue behind it.
            for actor in [actor for actor in self._pool if actor.busy]:
                actor.kill()
                self._pool.remove(actor)

    def samples_held(self, problem: str) -> int | None:
        """Return how many samples the inner engine has for the problem."""
        return self.inner.samples_held(problem)

    def close(self) -> None:
        """Kill the actors, and stop Ray if this engine started it."""
        for actor in self._pool:
            actor.kill()
        self._pool = []
        self.inner.close()
        if self._started_ray:
            import ray

            ray.shutdown()
            self._started_ray = False

    def _pool_ready(self) -> bool:
        return any(actor.ready for actor in self._pool)

    def _start(self) -> None:
        import ray

        if not ray.is_initialized():
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            here = self.address is None and "RAY_ADDRESS" not in os.environ
            options: dict[str, Any] = {"include_dashboard": False} if here else {"address": self.address}
            ray.init(log_to_driver=False, logging_level="warning", **options)
            self._started_ray = True
        while len(self._pool) < self.actors:
            self._pool.append(_Actor(*self._made_of, self._resources))

    def _batch(self, fresh: Iterator[Request], again: deque[Request], deaths: Mapping[str, int]) -> list[Request]:
        """Return the next batch; requests of dead actors come first, in smaller parts."""
        if not again:
            return list(islice(fresh, self.batch_rows))
        died = deaths[again[0].request_id]
        size = max(1, self.batch_rows // SHRINK**died)
        batch: list[Request] = []
        while again and len(batch) < size and deaths[again[0].request_id] == died:
            batch.append(again.popleft())
        return batch

    def _next(self, asked: float) -> "tuple[_Actor, Completion | None, str | None] | None":
        """Wait for an event; return (actor, completion, cause of death), or None if nothing happens within a second."""
        import ray

        waited_for = {actor.waited_for: actor for actor in self._pool if actor.waited_for is not None}
        happened, _ = ray.wait(list(waited_for), num_returns=1, timeout=1.0)
        if happened:
            actor = waited_for[happened[0]]
            try:
                return actor, actor.take(), None
            except ray.exceptions.RayActorError as error:
                return actor, None, " ".join(str(error).split())[:300]
            except ray.exceptions.RayTaskError as error:
                raise (error.cause if isinstance(error.cause, InputError) else error) from None
        if not self._pool_ready() and time.monotonic() - asked > self.start_timeout:
            raise InputError(
                f"no actor was ready within {self.start_timeout:g} s: each takes {self._resources}, "
                f"the cluster has {ray.cluster_resources()} (options.cpus, options.gpus, options.start_timeout)"
            )
        return None

    def _bury(self, actor: "_Actor", fault: str, again: deque[Request], deaths: dict[str, int]) -> Iterator[Completion]:
        logger.warning("an actor died with %d requests unanswered: %s", len(actor.unanswered), fault)
        self._pool[self._pool.index(actor)] = _Actor(*self._made_of, self._resources)
        for request in actor.unanswered.values():
            deaths[request.request_id] = deaths.get(request.request_id, 0) + 1
            if deaths[request.request_id] < self.attempts:
                again.append(request)
            else:
                yield Completion(request.request_id, finish_reason="error", error=f"actor died: {fault}")


class _Actor:
    """A handle on an actor, which is starting, idle, or busy with a batch."""

    def __init__(self, engine: str, options: Mapping[str, Any], resources: Mapping[str, float]) -> None:
        import ray

        # Other machines have no conf/local. Only the credentials that the engine names are sent.
        named = options.get("credentials")
        credentials = {named: keys.provided().get(named)} if named else {}
        self.handle: Any = ray.remote(Worker).options(max_restarts=0, **resources).remote()
        self.waited_for: Any = self.handle.start.remote(engine, dict(options), credentials)
        self.ready = False
        self.unanswered: dict[str, Request] = {}

    @property
    def busy(self) -> bool:
        """Whether it works on a batch."""
        return self.ready and self.waited_for is not None

    def give(self, batch: Sequence[Request]) -> None:
        """Give an idle actor a batch."""
        self.unanswered = {request.request_id: request for request in batch}
        self.waited_for = self.handle.generate.options(num_returns="streaming").remote(batch)

    def take(self) -> Completion | None:
        """Return the actor's next completion, or None if it has just become ready or idle; raise its error."""
        import ray

        if not self.ready:
            ray.get(self.waited_for)
            self.ready, self.waited_for = True, None
            return None
        try:
            completion: Completion = ray.get(next(self.waited_for))
        except StopIteration:
            self.waited_for = None
            return None
        self.unanswered.pop(completion.request_id, None)
        return completion

    def kill(self) -> None:
        """Kill the actor, whatever it is doing."""
        import ray

        if ray.is_initialized():
            ray.kill(self.handle)


class Worker:
    """The code that an actor runs."""

    def start(self, engine: str, options: Mapping[str, Any], credentials: keys.Credentials) -> None:
        """Create the engine."""
        keys.provide(lambda: credentials)
        self._engine = create_engine(engine, options, "options.engine")

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield the engine's completions."""
        yield from self._engine.generate(requests)
