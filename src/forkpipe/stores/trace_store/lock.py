"""One writer at a time: a lock on a file that says who holds it."""

import errno
import fcntl
import json
import os
import socket
import time
import weakref
from pathlib import Path

from forkpipe.core.errors import InputError

_held: "weakref.WeakSet[FolderLock]" = weakref.WeakSet()


class FolderLock:
    """An flock on a file, which the kernel lets go when its owner dies.

    Args:
        path: the file; it is made and stays there.
        what: what is locked, for the message.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._what = what
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock; InputError says who has it."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = _owner(os.read(fd, 4096))
            os.close(fd)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise InputError(
                f"{self._what} is in use by {owner}: wait for it to end, or end it; a store has one writer at a time"
            ) from None
        me = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(me).encode(), 0)
        self._fd = fd
        _held.add(self)

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._fd is not None

    def release(self) -> None:
        """Let go."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        _held.discard(self)


def _owner(said: bytes) -> str:
    try:
        owner = json.loads(said)
        return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"


def _forget_in_child() -> None:
    """Close a forked child's copies: the lock would else outlive its owner for as long as the child lives."""
    for lock in list(_held):
        lock.release()


os.register_at_fork(after_in_child=_forget_in_child)
