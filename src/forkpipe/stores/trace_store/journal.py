"""The journal: one line of JSON for each attempt, written immediately and synced in small batches."""

import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SYNC_ROWS = 64
SYNC_SECONDS = 1.0
"""Each row is passed to the operating system immediately, so a killed process loses none. If the machine itself dies,
at most this many rows, or the rows of this many seconds, are lost."""


class Journal:
    """A file to which rows are appended. Safe to use from several threads.

    Args:
        path: a file that does not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.rows = 0
        self._unsynced = 0
        self._fault: OSError | None = None
        self._guard = threading.Lock()
        self._closed = threading.Event()
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        sync_folder(path.parent)
        threading.Thread(target=self._sync_by_time, name="journal", daemon=True).start()

    def append(self, row: Mapping[str, Any]) -> None:
        """Write a row; OSError if this row, or the last sync, could not be written."""
        line = json.dumps(row).encode() + b"\n"
        with self._guard:
            if self._fault is not None:
                raise self._fault
            self._write(line)
            self.size += len(line)
            self.rows += 1
            self._unsynced += 1
            if self._unsynced >= SYNC_ROWS:
                self._sync()

    def close(self) -> None:
        """Sync and close the file."""
        self._closed.set()
        with self._guard:
            if self._fd >= 0:
                self._sync()
                os.close(self._fd)
                self._fd = -1

    def _write(self, line: bytes) -> None:
        written = 0
        try:
            while written < len(line):
                written += os.write(self._fd, line[written:])
        except OSError:
            os.ftruncate(self._fd, self.size)  # after a failed write (a full disk), remove the partial line
            raise

    def _sync(self) -> None:
        if self._unsynced:
            os.fsync(self._fd)
            self._unsynced = 0

    def _sync_by_time(self) -> None:
        while not self._closed.wait(SYNC_SECONDS):
            with self._guard:
                try:
                    if self._fd >= 0:
                        self._sync()
                except OSError as error:  # raised by the next append
                    self._fault = error


def read_journal(path: Path) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
    """Yield every line as bytes, and the row that it holds, or None."""
    with path.open("rb") as file:
        for line in file:
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            yield line, row if isinstance(row, dict) else None


def sync_folder(folder: Path) -> None:
    """Make the creation, renaming and deletion of files in a folder durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
