"""A store of completions as a catalog entry."""

from forkpipe.datasets.store import StoreDataset
from forkpipe.stores.completions import CompletionStore


class CompletionStoreDataset(StoreDataset[CompletionStore]):
    """A store of completions, a JSONL file."""

    def load(self) -> CompletionStore:
        """Return the store, which may be empty."""
        return CompletionStore(self._path)
