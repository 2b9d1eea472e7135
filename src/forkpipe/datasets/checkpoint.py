"""Datasets for folders: checkpoints, which are saved whole or not at all, and working folders."""

import re
import shutil
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from forkpipe.core.errors import InputError
from forkpipe.datasets.records import RecordsError
from forkpipe.datasets.store import StoreDataset
from forkpipe.models.checkpoint import Checkpoint
from forkpipe.models.identity import FORKING_FILE
from forkpipe.stores.trace_store.lock import FolderLock

LOCK_FILE = "work.lock"
_PHASE = re.compile(r"trainer|\d+_\w+")
"""Folders that trainings leave; those of earlier versions have no lock file."""


class CheckpointDataset(AbstractDataset[Path, Path]):
    """A checkpoint folder; loads as its path.

    Saving takes the path of a folder that a node has written, and moves the folder into place. So a killed run leaves
    the old checkpoint, the new one or none, but never a partial one.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        """Return the folder."""
        if not self._exists():
            raise DatasetError(f"{self._filepath} holds no checkpoint ({FORKING_FILE} is missing)")
        return self._filepath

    def save(self, data: Path) -> None:
        """Move the folder `data` into place."""
        if not Checkpoint(data).has_tags:
            raise DatasetError(f"{data} holds no checkpoint ({FORKING_FILE} is missing)")
        self._filepath.parent.mkdir(parents=True, exist_ok=True)
        old = self._filepath.with_name(f".{self._filepath.name}.replaced")
        shutil.rmtree(old, ignore_errors=True)
        if self._filepath.exists():
            self._filepath.rename(old)
        shutil.move(data, self._filepath)
        shutil.rmtree(old, ignore_errors=True)

    def content_digest(self) -> str:
        """Return the digest by which requests and tables name the checkpoint, see `models.identity`."""
        return Checkpoint(self._filepath).digest

    def _exists(self) -> bool:
        return Checkpoint(self._filepath).has_tags

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class WorkFolderDataset(StoreDataset[Path]):
    """A folder in which a node works; one process at a time works in it."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._lock = FolderLock(self._path / LOCK_FILE, f"work folder {filepath}")

    def load(self) -> Path:
        """Create the folder if it does not exist, and return it, locked until `release`.

        Raises:
            RecordsError: another process works in it, or it holds files of a user.
        """
        self.check()
        self._path.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except InputError as error:
            raise RecordsError(str(error)) from error
        return self._path

    def check(self) -> None:
        """Raise RecordsError if the folder holds files of a user, which a node might delete."""
        names = {path.name for path in self._path.glob("*")} if self._path.exists() else set()
        phases = {name for name in names if _PHASE.fullmatch(name)}
        if names and LOCK_FILE not in names and (not phases or names - phases - {"checkpoint"}):
            raise RecordsError(
                f"{self._path}: holds files that no training has left, and a training would work there: "
                "give the work folder another path in the catalog, or move the files away"
            )

    def _release(self) -> None:
        self._lock.release()
