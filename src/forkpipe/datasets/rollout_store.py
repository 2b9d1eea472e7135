"""The rollout store as a catalog entry."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from forkpipe.stores.completions import RolloutStore


class RolloutStoreDataset(AbstractDataset[RolloutStore, RolloutStore]):
    """A rollout store as a catalog entry; loads as a `RolloutStore`.

    Args:
        filepath: the JSONL file.
        metadata: ignored by Kedro, used by plugins.
    """

    is_store = True
    """It decides itself what is missing, so its content is no part of a recipe."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> RolloutStore:
        """Return the store, which may be empty."""
        return RolloutStore(self._path)

    def save(self, data: RolloutStore) -> None:
        """Refuse: completions are appended through the store itself."""
        raise DatasetError(f"{self._path}: rollouts are appended through the store, no node can have it as its output")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}
