"""The trace store as a catalog entry."""

from forkpipe.datasets.store import StoreDataset
from forkpipe.stores.trace_store.store import TraceStore


class TraceStoreDataset(StoreDataset[TraceStore]):
    """The trace store, a folder."""

    def load(self) -> TraceStore:
        """Return the store, which may be empty."""
        return TraceStore(self._path)
