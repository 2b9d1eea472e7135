"""The base of datasets for stores and work folders, in which a node finds what a killed run has left."""

from pathlib import Path
from typing import Any, TypeVar

from kedro.io import AbstractDataset, DatasetError

from forkpipe.datasets.records import RecordsError
from forkpipe.stores.trace_store.folder import ShardedFolder

Store = TypeVar("Store")
Folder = TypeVar("Folder", bound=ShardedFolder)


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


class FolderStoreDataset(StoreDataset[Folder]):
    """A store that is a folder of journals and shards."""

    store: type[Folder]
    noun: str
    """What the store is called in messages."""

    def load(self) -> Folder:
        """Return the store, which may be empty; see `check`."""
        self.check()
        return self._opened()

    def check(self) -> None:
        """Raise RecordsError if there is a file, or a folder with files of a user, which the store would set aside."""
        if self._path.is_dir():
            holds = "holds files and" if any(self._path.iterdir()) and not self._opened().exists() else ""
        else:
            holds = "is a file and" if self._path.exists() else ""
        if holds:
            raise RecordsError(
                f"{self._path}: {holds} is no {self.noun}: give the store another path in the catalog, "
                "or move the files away"
            )

    def _opened(self) -> Folder:
        make: Any = self.store
        opened: Folder = make(self._path)
        return opened
