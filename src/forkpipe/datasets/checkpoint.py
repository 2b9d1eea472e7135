"""Datasets for folders: checkpoints, which are saved whole or not at all, and working folders."""

import shutil
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from forkpipe.datasets.store import StoreDataset
from forkpipe.models.checkpoint import FORKING_FILE, Checkpoint


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
        old = self._filepath.with_name(self._filepath.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if self._filepath.exists():
            self._filepath.rename(old)
        shutil.move(data, self._filepath)
        shutil.rmtree(old, ignore_errors=True)

    def _exists(self) -> bool:
        return Checkpoint(self._filepath).has_tags

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class WorkFolderDataset(StoreDataset[Path]):
    """A folder in which a node works."""

    def load(self) -> Path:
        """Create the folder if it does not exist, and return it."""
        self._path.mkdir(parents=True, exist_ok=True)
        return self._path
