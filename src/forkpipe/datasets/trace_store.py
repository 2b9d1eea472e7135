"""The trace store as a catalog entry."""

from forkpipe.datasets.records import RecordsError
from forkpipe.datasets.store import StoreDataset
from forkpipe.stores.trace_store.store import TraceStore


class TraceStoreDataset(StoreDataset[TraceStore]):
    """The trace store, a folder."""

    def load(self) -> TraceStore:
        """Return the store, which may be empty; see `check`."""
        self.check()
        return TraceStore(self._path)

    def check(self) -> None:
        """Raise RecordsError if the folder holds files of a user, which the store would set aside."""
        if self._path.is_dir() and any(self._path.iterdir()) and not TraceStore(self._path).exists():
            raise RecordsError(
                f"{self._path}: holds files and is no trace store: give the store another path in the catalog, "
                "or move the files away"
            )
