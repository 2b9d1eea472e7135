"""The base of datasets for stores and work folders, in which a node finds what a killed run has left."""

from pathlib import Path
from typing import Any, TypeVar

from kedro.io import AbstractDataset, DatasetError

Store = TypeVar("Store")


class StoreDataset(AbstractDataset[Store, Store]):
    """A file or folder that nodes read and write themselves, so that Kedro never saves it.

    Args:
        filepath: the file or folder; it need not exist.
        metadata: ignored by Kedro, used by plugins.
    """

    is_store = True
    """The store itself knows what is missing in it, so its content is not part of a recipe."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def save(self, data: Store) -> None:
        """Raise an error: what is new is appended through the store itself."""
        raise DatasetError(f"{self._path}: is appended through the store itself, no node can have it as its output")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}
