"""One writer at a time: a file lock whose file names the process that holds it."""

import json
import os
import socket
import time
from pathlib import Path

from forkpipe.core.errors import InputError


class FolderLock:
    """A lock that the kernel releases when its owner dies; children that the owner forks do not keep it.

    Args:
        path: the lock file. It is created if it does not exist, and never deleted.
    """

    def __init__(self, path: Path, what: str) -> None:
        from filelock import FileLock  # imported where it is used, as `kedro registry list` needs no lock

        self._path = path
        self._what = what
        self._lock = FileLock(
            path, timeout=0, thread_local=False, fallback_to_soft=False, preserve_lock_file=True, on_acquired=_sign
        )

    def acquire(self) -> None:
        """Take the lock; InputError names the process that holds it."""
        from filelock import Timeout

        try:
            self._lock.acquire()
        except Timeout:
            raise InputError(
                f"{self._what} is in use by {_owner(self._path)}: wait for it to end, or end it; "
                "it has one writer at a time"
            ) from None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._lock.is_locked

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()


def _sign(descriptor: int) -> None:
    """Write into the lock file who holds it."""
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(owner).encode(), 0)


def _owner(path: Path) -> str:
    try:
        owner = json.loads(path.read_bytes())
        return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
