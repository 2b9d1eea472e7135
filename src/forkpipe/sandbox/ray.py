"""The local sandbox on the actors of a Ray cluster: each machine runs programs in workers of its own."""

import itertools
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.sandbox.base import Job, Run
from forkpipe.sandbox.local import VERSION, LocalSandbox

ATTEMPTS = 2
"""Actors that a job is given to, if the one before died."""


class RaySandbox:
    """Runs programs by sandboxes on Ray actors; a job whose actors die is `broken`.

    Args:
        actors: how many.
        workers_each: workers of an actor.
        address: of the cluster, null uses RAY_ADDRESS, or starts Ray on this machine for as long as this lives.
        options: of `local.LocalSandbox`, such as `backend`.

    Raises:
        InputError: a number is wrong, or an option.
    """

    def __init__(
        self,
        actors: int = 2,
        workers_each: int = 1,
        address: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        for name, value in (("actors", actors), ("workers_each", workers_each)):
            if value < 1:
                raise InputError(f"sandbox {name} is {value}, expected at least 1")
        self._options = {**(options or {}), "workers": workers_each}
        LocalSandbox(**self._options)  # starts nothing, but says of an option that it is wrong
        self.name = f"local {VERSION}"
        self.workers = actors * workers_each
        self._actors = actors
        self._each = workers_each
        self._address = address
        self._lock = threading.Lock()
        self._pool: list[Any] = []
        self._next = itertools.count()
        self._started_ray = False

    def run(self, jobs: Sequence[Job]) -> list[Run]:
        """Return one run a job, in order; InputError where programs cannot be run on an actor's machine."""
        import ray

        self._start()
        runs: list[Run | None] = [None] * len(jobs)
        for _ in range(ATTEMPTS):
            waiting = [
                (at, slot, self._pool[slot].run.remote([jobs[at]]))
                for at in range(len(jobs))
                if runs[at] is None
                for slot in [next(self._next) % self._actors]
            ]
            for at, slot, reference in waiting:
                try:
                    (runs[at],) = ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    raise InputError(str(error.cause)) from error
                except ray.exceptions.RayActorError:
                    self._replace(slot)
        return [run or Run("broken", f"{ATTEMPTS} actors died") for run in runs]

    def _start(self) -> None:
        import ray

        with self._lock:
            if self._pool:
                return
            if not ray.is_initialized():
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                place = {"address": self._address} if self._address or "RAY_ADDRESS" in os.environ else {}
                ray.init(include_dashboard=False, log_to_driver=False, **place)
                self._started_ray = True
            self._pool = [self._actor() for _ in range(self._actors)]

    def _actor(self) -> Any:
        import ray

        made = ray.remote(num_cpus=self._each, max_concurrency=2 * self._each)(LocalSandbox)
        return made.remote(**self._options)

    def _replace(self, slot: int) -> None:
        """Put a new actor in the place of one that died; twice does no harm."""
        with self._lock:
            self._pool[slot] = self._actor()

    def close(self) -> None:
        """End the actors with their workers, and Ray where it was started here."""
        import ray

        with self._lock:
            for actor in self._pool:
                ray.kill(actor)
            self._pool = []
            if self._started_ray:
                ray.shutdown()
                self._started_ray = False
