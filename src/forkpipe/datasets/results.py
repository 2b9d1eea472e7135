"""Stores of kept results as catalog entries."""

from forkpipe.datasets.records import RecordsError
from forkpipe.datasets.store import StoreDataset
from forkpipe.stores.results import ResultStore


class ResultStoreDataset(StoreDataset[ResultStore]):
    """Results that were computed before, a folder; it may be deleted at any time."""

    def load(self) -> ResultStore:
        """Return the store, which may be empty; see `check`."""
        self.check()
        return ResultStore(self._path)

    def check(self) -> None:
        """Raise RecordsError if the folder holds files of a user, which the store would set aside."""
        if self._path.is_dir() and any(self._path.iterdir()) and not ResultStore(self._path).exists():
            raise RecordsError(
                f"{self._path}: holds files and is no store of results: give the store another path in the catalog, "
                "or move the files away"
            )
