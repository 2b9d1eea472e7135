"""A worker process: gets a function and chunks of items through its input, and writes what came of each chunk.

Started as `python -m forkpipe.parallel.worker` by `processes`. A thread reads the input, so that the worker ends as
soon as the input does, also in the middle of an item: the process that started it is gone, or needs nothing more.
"""

import os
import pickle
import queue
import struct
import threading
from collections.abc import Callable
from typing import IO, Any

from forkpipe.parallel.chunks import applied

LENGTH = struct.Struct("<Q")
"""What stands before each message: its length."""


def write(file: IO[bytes], message: Any) -> None:
    """Write a message."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    file.write(LENGTH.pack(len(data)) + data)
    file.flush()


def read(file: IO[bytes]) -> Any:
    """Return the next message; EOFError where there is none, or only a part of one."""
    (length,) = LENGTH.unpack(_exactly(file, LENGTH.size))
    return pickle.loads(_exactly(file, length))


def _exactly(file: IO[bytes], length: int) -> bytes:
    parts: list[bytes] = []
    while length:
        part = file.read(length)
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def main() -> None:
    """Work until the input ends."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)  # what the function prints is no answer
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(incoming, messages), daemon=True).start()
    function: Callable[[Any], Any] | None = None
    while True:
        message = messages.get()
        if isinstance(message, Exception):
            raise message
        if function is None:
            function = pickle.loads(message)
        else:
            write(outgoing, applied(function, message))


def _listen(incoming: IO[bytes], messages: "queue.SimpleQueue[Any]") -> None:
    while True:
        try:
            messages.put(read(incoming))
        except EOFError:
            os._exit(0)


if __name__ == "__main__":
    main()
