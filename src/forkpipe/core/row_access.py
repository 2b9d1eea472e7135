"""Reads the rows of a file in any order, without holding the file in memory."""

import json
import os
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO

from forkpipe.core.errors import InputError, one_line
from forkpipe.core.read_rows import Row, read_rows, row_of_line


class RowAccess:
    """Reads a file in its order, and any of its rows again by their place.

    The place of a row in a local `.jsonl` file is its offset. A row of any other file (compressed, Parquet, CSV, a URL)
    is found by its number: the first time that one is asked for, all rows are written to a temporary file, which is on
    the disk that TMPDIR names and disappears with the process.

    Args:
        path: a path that `read_rows` understands.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._by_offset = path.endswith(".jsonl") and os.path.isfile(path)
        self._opened: IO[bytes] | None = None
        self._starts = array("Q")

    def __iter__(self) -> Iterator[tuple[int, int, Row]]:
        """Yield (row number as `read_rows` counts it, place, row).

        Raises:
            InputError: the file or a row cannot be read.
        """
        if not self._by_offset:
            yield from ((number, place, row) for place, (number, row) in enumerate(read_rows(self._path)))
            return
        try:
            place = 0
            with open(self._path, "rb") as file:
                for number, line in enumerate(file, start=1):
                    if (row := row_of_line(line, self._path, number)) is not None:
                        yield number, place, row
                    place += len(line)
        except OSError as error:
            raise InputError(f"{self._path}: cannot be read: {one_line(error)}") from error

    def row(self, place: int) -> Row | None:
        """Return the row at a place that iteration gave, None if there is none any more, because the file changed."""
        if self._opened is None:
            self._opened = self._open() if self._by_offset else self._written_by_number()
        if not self._by_offset:
            if place >= len(self._starts):
                return None
            place = self._starts[place]
        self._opened.seek(place)
        try:
            return row_of_line(self._opened.readline(), self._path, number=1 if place == 0 else 0)
        except InputError:
            return None

    def close(self) -> None:
        """Close and delete what is open."""
        if self._opened is not None:
            self._opened.close()
        self._opened = None
        self._starts = array("Q")

    def _open(self) -> IO[bytes]:
        try:
            return open(self._path, "rb")
        except OSError as error:
            raise InputError(f"{self._path}: cannot be read: {one_line(error)}") from error

    def _written_by_number(self) -> IO[bytes]:
        self._starts = array("Q")
        try:
            with ExitStack() as stack:
                file = stack.enter_context(tempfile.TemporaryFile(prefix="forkpipe-rows-"))
                for _, row in read_rows(self._path):
                    self._starts.append(file.tell())
                    # What JSON cannot hold is no text, so it stands in a column that nobody reads.
                    file.write(json.dumps(row, default=repr).encode() + b"\n")
                stack.pop_all()
                return file
        except OSError as error:
            where = f"the temporary folder {tempfile.gettempdir()} (TMPDIR names another)"
            raise InputError(f"{self._path}: cannot be copied to {where}: {one_line(error)}") from error
