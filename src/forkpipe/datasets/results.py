"""Stores of kept results as catalog entries."""

from forkpipe.datasets.store import FolderStoreDataset
from forkpipe.stores.results import ResultStore


class ResultStoreDataset(FolderStoreDataset[ResultStore]):
    """Results that were computed before, a folder; it may be deleted at any time."""

    store = ResultStore
    noun = "store of results"
