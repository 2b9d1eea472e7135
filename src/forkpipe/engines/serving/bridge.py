"""Asynchronous work behind a synchronous iterator: an event loop in a thread of its own, and a bounded queue."""

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class _End(NamedTuple):
    error: BaseException | None


def iterate(produce: Callable[[Callable[[T], Awaitable[None]]], Awaitable[None]], room: int) -> Iterator[T]:
    """Yield what `produce` puts, as soon as it is there.

    Args:
        produce: coroutine function that is given `put`; it runs until it returns, raises, or the iterator is closed,
            which cancels it and waits until it has ended.
        room: items that may lie ready; `put` waits while there are as many.

    Raises:
        BaseException: what `produce` raised; of an exception group, its first.
    """
    ready: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
    space = asyncio.Semaphore(room)
    begun: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = queue.SimpleQueue()

    async def put(item: T) -> None:
        await space.acquire()
        ready.put(item)

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        begun.put((asyncio.get_running_loop(), task))
        await produce(put)

    def run() -> None:
        error: BaseException | None = None
        try:
            asyncio.run(main())
        except BaseException as raised:
            error = raised
        ready.put(_End(error))

    thread = threading.Thread(target=run, name="forkpipe-requests", daemon=True)
    thread.start()
    loop, task = begun.get()

    def tell(callback: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # it has ended and closed its loop; what it gave still lies ready
            loop.call_soon_threadsafe(callback)

    try:
        while not isinstance(item := ready.get(), _End):
            tell(space.release)
            yield item
        if item.error is not None:
            raise _first(item.error)
    finally:
        tell(task.cancel)
        thread.join()


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
