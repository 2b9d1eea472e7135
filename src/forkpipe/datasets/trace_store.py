"""The trace store: what teachers have answered so far, appended as it comes, so that a killed run loses nothing.

One JSONL file; a line is a row of the `traces` table, keyed by (request_id, attempt). It is an input of the node that
asks the teachers: the node looks up what is there, asks for the rest and appends. A later version of the store can
change the files behind these four methods.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from forkpipe.progress import logger


class TraceStore:
    """Rows of attempts, durable once `append` has returned."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield all rows in the order they were written; lines that a crash has torn are named and left out."""
        if not self._path.exists():
            return
        with self._path.open(encoding="utf-8", errors="surrogatepass") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield json.loads(line)
                except json.JSONDecodeError:
                    logger.warning("%s line %d is torn: its request is sent again", self._path, number)

    def last_attempts(self) -> dict[str, dict[str, Any]]:
        """Return the row of each request's last attempt."""
        return {row["request_id"]: row for row in self.rows()}

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows and wait until they are on disk."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        torn = self._path.exists() and self._path.stat().st_size > 0 and not self._ends_with_newline()
        with self._path.open("a", encoding="utf-8") as file:
            if torn:
                file.write("\n")
            for row in rows:
                file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _ends_with_newline(self) -> bool:
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"


class TraceStoreDataset(AbstractDataset[TraceStore, TraceStore]):
    """The trace store as a catalog entry; loads as a `TraceStore`.

    Args:
        filepath: the JSONL file.
        metadata: ignored by Kedro, used by plugins.
    """

    is_store = True
    """It decides itself what is missing, so its content is no part of a recipe."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> TraceStore:
        """Return the store, which may be empty."""
        return TraceStore(self._path)

    def save(self, data: TraceStore) -> None:
        """Refuse: rows are appended through the store itself."""
        raise DatasetError(f"{self._path}: rows are appended through the store, no node can have it as its output")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}
