"""Stores of kept results as catalog entries."""

from forkpipe.datasets.store import StoreDataset
from forkpipe.stores.results import ResultStore


class ResultStoreDataset(StoreDataset[ResultStore]):
    """Results that were computed before, a folder; it may be deleted at any time."""

    def load(self) -> ResultStore:
        """Return the store, which may be empty."""
        return ResultStore(self._path)
