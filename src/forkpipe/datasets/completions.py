"""A store of completions as a catalog entry."""

from forkpipe.core.errors import InputError
from forkpipe.datasets.records import RecordsError
from forkpipe.datasets.store import StoreDataset
from forkpipe.stores.completions import CompletionStore


class CompletionStoreDataset(StoreDataset[CompletionStore]):
    """A store of completions, a JSONL file."""

    def load(self) -> CompletionStore:
        """Return the store, which may be empty; RecordsError if the file holds something else."""
        try:
            return CompletionStore(self._path)
        except InputError as error:
            raise RecordsError(str(error)) from error

    def check(self) -> None:
        """Raise RecordsError if the file holds something else."""
        self.load()
