"""The journal: a line of JSON an attempt, appended at once and synced in small batches."""

import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SYNC_ROWS = 64
SYNC_SECONDS = 1.0
"""A row is handed to the operating system at once, so that a killed process loses none; when the machine itself dies,
at most this many rows, or the rows of this time, are not on its disk yet."""


class Journal:
    """A file that rows are appended to. Safe to use from several threads.

    Args:
        path: a file that is not there yet.
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
        """Write a row; OSError where it could not be written, now or by the last sync."""
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
        """Sync and close; the file stays."""
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
            os.ftruncate(self._fd, self.size)  # a full disk: no half line before the next row
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
                except OSError as error:  # said by the next append
                    self._fault = error


def read_journal(path: Path) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
    """Yield every line as it is, and as a row where it is one."""
    with path.open("rb") as file:
        for line in file:
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            yield line, row if isinstance(row, dict) else None


def sync_folder(folder: Path) -> None:
    """Make new names and removals within a folder durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
