"""The trace store as a catalog entry."""

from forkpipe.datasets.store import FolderStoreDataset
from forkpipe.stores.trace_store.store import TraceStore


class TraceStoreDataset(FolderStoreDataset[TraceStore]):
    """The trace store, a folder."""

    store = TraceStore
    noun = "trace store"
