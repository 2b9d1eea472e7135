"""The same chunks as tasks of Ray, on a cluster or on this machine."""

import os
import pickle
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from forkpipe.core.errors import InputError, one_line
from forkpipe.core.ids import digest
from forkpipe.parallel.chunks import UNDER_WAY, Applied, Chunk, applied, chunks_of

RETRIES = 3
"""Times that Ray starts a task again whose worker or machine was lost."""
_functions: dict[str, Callable[[Any], Any]] = {}
"""In a worker of Ray: the function that it applies, by the digest of its pickle; an object keeps what it made."""


def over_ray(
    function: Callable[[Any], Any], items: Iterable[Any], address: str | None, count: int | None
) -> Iterator[Any]:
    """Yield what a function makes of items, in order, by tasks of Ray; see `mapped.mapped`.

    Args:
        address: of the cluster, None uses RAY_ADDRESS, or starts Ray on this machine as long as this goes on.
        count: tasks at a time, None for one a processor of the cluster.
    """
    under_way: deque[Any] = deque()
    """References to what tasks return, and what is known already."""
    task: Callable[[Chunk], Any] | None = None
    tasks = 1
    chunks = chunks_of(items)
    with ExitStack() as stack:
        try:
            while True:
                while len(under_way) < UNDER_WAY * tasks and (chunk := next(chunks, None)) is not None:
                    if not isinstance(chunk, Applied):
                        if task is None:
                            tasks, task = _started(stack, function, address, count)
                        chunk = task(chunk)
                    under_way.append(chunk)
                if not under_way:
                    return
                yield from _result(under_way[0]).unwrapped()
                under_way.popleft()
        finally:
            _cancel(reference for reference in under_way if not isinstance(reference, Applied))


def _started(
    stack: ExitStack, function: Callable[[Any], Any], address: str | None, count: int | None
) -> tuple[int, Callable[[Chunk], Any]]:
    """Connect to Ray; return (how many tasks go on at a time, what starts one)."""
    import ray

    stack.enter_context(connected(address))
    tasks = max(1, int(ray.cluster_resources().get("CPU", 1))) if count is None else count
    sent = pickle.dumps(function, pickle.HIGHEST_PROTOCOL)
    kept, name = ray.put((sent, [path for path in sys.path if path])), digest([sent])
    task = ray.remote(_applied).options(num_cpus=1, max_retries=RETRIES)
    return tasks, lambda chunk: task.remote(name, [kept], chunk)


def _result(reference: Any) -> Applied:
    if isinstance(reference, Applied):
        return reference
    import ray

    try:
        result: Applied = ray.get(reference)
        return result
    except ray.exceptions.RayTaskError as error:  # not of the function: the task itself failed
        raise (error.cause if isinstance(error.cause, Exception) else error) from None
    except ray.exceptions.RayError as error:
        raise InputError(f"Ray lost a task {RETRIES + 1} times: {one_line(error)}") from error


def _cancel(references: Iterable[Any]) -> None:
    for reference in references:
        import ray

        ray.cancel(reference, force=True)


def _applied(name: str, kept: list[Any], chunk: Chunk) -> Applied:
    """Apply a function, in a worker of Ray; its pickle is fetched if this worker has not made it yet."""
    import ray

    if name not in _functions:
        function, paths = ray.get(kept[0])
        # Ray knows the folder of a script, and not what a project has added to the path.
        sys.path += [path for path in paths if path not in sys.path]
        _functions.clear()
        _functions[name] = pickle.loads(function)
    return applied(_functions[name], chunk)


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connect to a cluster, or start Ray on this machine and stop it at the end."""
    try:
        import ray
    except ImportError as error:
        raise InputError("parallel.ray needs the package ray: pip install 'forkpipe[ray]'") from error
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    here = address is None and "RAY_ADDRESS" not in os.environ
    place: dict[str, Any] = {"include_dashboard": False} if here else {"address": address}
    try:
        ray.init(log_to_driver=False, logging_level="warning", **place)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(f"parallel.ray.address {address}: {one_line(error)}") from error
    try:
        yield
    finally:
        ray.shutdown()
