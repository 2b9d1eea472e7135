"""The trace store as a catalog entry."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from forkpipe.stores.trace_store.store import TraceStore


class TraceStoreDataset(AbstractDataset[TraceStore, TraceStore]):
    """The trace store; loads as a `TraceStore`.

    Args:
        filepath: the folder.
        metadata: ignored by Kedro, used by plugins.
    """

    is_store = True
    """The store itself knows which answers are missing, so its content is not part of a recipe."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> TraceStore:
        """Return the store, which may be empty."""
        return TraceStore(self._path)

    def save(self, data: TraceStore) -> None:
        """Raise an error: rows are appended through the store itself."""
        raise DatasetError(f"{self._path}: rows are appended through the store, no node can have it as its output")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}
