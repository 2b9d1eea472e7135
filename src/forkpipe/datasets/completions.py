"""A store of completions as a catalog entry."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from forkpipe.stores.completions import CompletionStore


class CompletionStoreDataset(AbstractDataset[CompletionStore, CompletionStore]):
    """A store of completions as a catalog entry; loads as a `CompletionStore`.

    Args:
        filepath: the JSONL file.
        metadata: ignored by Kedro, used by plugins.
    """

    is_store = True
    """The store decides itself what is missing, so its content is no part of a recipe."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> CompletionStore:
        """Return the store, which may be empty."""
        return CompletionStore(self._path)

    def save(self, data: CompletionStore) -> None:
        """Refuse: completions are appended through the store itself."""
        raise DatasetError(f"{self._path}: completions are appended through the store, no node can output it")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}
