"""Applies a function to many items: here, in worker processes, or as Ray tasks. The results are the same, in order."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from forkpipe.parallel.chunks import Known
from forkpipe.parameters.parallel import ParallelSettings

ALONE_SECONDS = 1.0
"""A worker takes about a second to start, so the first items are worked on here for that long."""

Item = TypeVar("Item")
Result = TypeVar("Result")
Beside = TypeVar("Beside")


def mapped(
    function: Callable[[Item], Result], items: Iterable[Item | Known], parallel: ParallelSettings
) -> Iterator[Result]:
    """Yield function(item) for each item, in order.

    Items are taken as workers need them, a few chunks at a time, and nobody holds all results. Workers end with the
    iterator, and with this process however that ends. What a worker that died had not done is done again.

    Args:
        items: `Known` ones are results, which are passed on in their places and start no worker.
        function: of a module that other processes can import; it and its items and results are pickled. It is sent to
            each worker once, so an object may keep what is slow to make. Its `close`, if it has one, is called here
            when this process has done its part.
        parallel: how many workers, and where.

    Raises:
        Exception: the first error of the function, after the results before it.
        InputError: a worker cannot be started, or several died on the same items.
    """
    remaining = iter(items)
    count = cores() if parallel.workers == "auto" else parallel.workers
    worked = 0.0
    try:
        if parallel.ray is None:
            for item in remaining:
                if isinstance(item, Known):
                    yield item.result
                    continue
                started = time.monotonic()
                result = function(item)
                worked += time.monotonic() - started
                yield result
                if count > 1 and worked > ALONE_SECONDS:
                    break
    finally:
        if (close := getattr(function, "close", None)) is not None:
            close()
    if parallel.ray is None:
        from forkpipe.parallel.processes import over_processes  # needed once there is work for several

        yield from over_processes(function, remaining, count)
    else:
        from forkpipe.parallel.ray import over_ray

        yield from over_ray(function, remaining, parallel.ray.address, None if parallel.workers == "auto" else count)


def mapped_beside(
    function: Callable[[Item], Result], items: Iterable[tuple[Beside, Item | Known]], parallel: ParallelSettings
) -> Iterator[tuple[Beside, Result]]:
    """Yield (what stands beside an item, its result) for each item, as `mapped`; what stands beside stays here."""
    waiting: deque[Beside] = deque()

    def given() -> Iterator[Item | Known]:
        for beside, item in items:
            waiting.append(beside)
            yield item

    for result in mapped(function, given(), parallel):
        yield waiting.popleft(), result


def cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def here_at_most(parallel: ParallelSettings) -> int:
    """Return how many workers share a machine at most, for what each of them starts."""
    return cores() if parallel.workers == "auto" else parallel.workers
