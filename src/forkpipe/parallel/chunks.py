"""Items on their way to other processes, a few at a time and pickled one by one, and what came of them."""

import pickle
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

MOST_ITEMS = 32
MOST_BYTES = 1 << 18
"""A chunk ends with the item that reaches one of these: enough to make sending it cheap, few enough to share out."""
UNDER_WAY = 2
"""Chunks that a worker has at most, the one that it works on included."""
AHEAD = 4
"""Chunks a worker that are at most out or waiting for an earlier one, so that a slow chunk fills no memory."""

Chunk: TypeAlias = list[bytes]
"""Pickled items. All of it stays between processes of one run."""


class Known(NamedTuple):
    """In the place of an item: its result, which is known already."""

    result: Any


class Applied(NamedTuple):
    """What came of a chunk: a result for each item, or for those before an error, and the error."""

    results: list[Any]
    error: Exception | None

    def unwrapped(self) -> Iterator[Any]:
        """Yield the results, then raise the error if there is one."""
        yield from self.results
        if self.error is not None:
            raise self.error


def chunks_of(items: Iterable[Any]) -> Iterator[Chunk | Applied]:
    """Yield items in chunks, each made when it is asked for; what is known is a chunk that is done."""
    chunk: Chunk = []
    size = 0
    for item in items:
        if isinstance(item, Known):
            if chunk:
                yield chunk
                chunk, size = [], 0
            yield Applied([item.result], None)
            continue
        chunk.append(pickle.dumps(item, pickle.HIGHEST_PROTOCOL))
        size += len(chunk[-1])
        if len(chunk) >= MOST_ITEMS or size >= MOST_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def applied(function: Callable[[Any], Any], chunk: Chunk) -> Applied:
    """Apply a function to the items of a chunk, up to the first error."""
    results: list[Any] = []
    try:
        for item in chunk:
            results.append(function(pickle.loads(item)))
    except Exception as error:
        return Applied(results, _that_travels(error))
    return Applied(results, None)


def _that_travels(error: Exception) -> Exception:
    """Return an error that another process can raise, with the place where it came from as a note."""
    try:
        sent = pickle.loads(pickle.dumps(error))
    except Exception:
        sent = RuntimeError(f"{type(error).__name__}: {error}")
    assert isinstance(sent, Exception)
    sent.add_note("in a worker:\n" + "".join(traceback.format_exception(error)))
    return sent
