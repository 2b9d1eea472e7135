"""Turn a coroutine into a synchronous iterator: it runs in an event loop on a thread and fills a bounded queue."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def iterate(produce: Callable[[Callable[[T], Awaitable[None]]], Awaitable[None]], room: int) -> Iterator[T]:
    """Yield each item that `produce` puts, as soon as it is there.

    Args:
        produce: coroutine function that is given `put`. It runs until it returns, raises, or the iterator is closed;
            closing cancels it and waits until it has ended.
        room: number of finished items that may wait to be read; `put` waits while there are as many.

    Raises:
        BaseException: what `produce` raised; the first exception of an exception group.
    """
    from anyio import EndOfStream, create_memory_object_stream
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal(name="forkpipe-requests") as portal:
        finished, ready = create_memory_object_stream[T](room)

        async def run() -> None:
            with finished:
                await produce(finished.send)

        async def start() -> asyncio.Task[None]:
            # A plain task is cancelled once and may await while it cleans up; in a cancel scope of anyio it may not.
            return asyncio.create_task(run())

        async def end(task: asyncio.Task[None]) -> BaseException | None:
            task.cancel()  # does nothing where it has ended
            await asyncio.wait([task])
            return None if task.cancelled() else task.exception()

        task = portal.call(start)
        try:
            with suppress(EndOfStream):
                while True:
                    yield portal.call(ready.receive)
        finally:
            error = portal.call(end, task)
        if error is not None:
            raise _first(error)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
