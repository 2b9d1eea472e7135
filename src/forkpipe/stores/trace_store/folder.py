"""A folder of rows: they are appended to a journal, journals become shards, and a crash loses or doubles none.

`store.TraceStore` keeps the answers of teachers so, and `stores.results.ResultStore` what was computed from them.
"""

import os
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from forkpipe.core.errors import InputError
from forkpipe.core.progress import logger
from forkpipe.stores.trace_store.journal import Journal, sync_folder
from forkpipe.stores.trace_store.lock import FolderLock
from forkpipe.stores.trace_store.recovery import SET_ASIDE, set_aside

JOURNAL_BYTES = 64 << 20
"""The size at which a journal becomes a shard: about 16,000 rows of 4 kB, a pause of half a second."""
SMALL_BYTES, MERGE_AT = 8 << 20, 16
"""Opening the store merges this many shards below this size: each run leaves at least one."""

_SHARD = re.compile(r"shard-(\d{6,})\.parquet")
_JOURNAL = re.compile(r"journal-(\d{6,})\.jsonl")


class ShardedFolder(ABC):
    """Rows in a folder. Use it within `with store:`, which holds the lock; such blocks may be nested.

    `append` may be called from several threads.

    Args:
        path: the folder.
        what: the kind of store, for messages.
        lost: what follows for rows that cannot be read, for messages.
        journal_bytes: see `JOURNAL_BYTES`.
    """

    def __init__(self, path: Path, what: str, lost: str, *, journal_bytes: int = JOURNAL_BYTES) -> None:
        self.path = Path(path)
        self._what = what
        self._lost = lost
        self._journal_bytes = journal_bytes
        self._lock = FolderLock(self.path / "lock", f"{what} {self.path}")
        self._guard = threading.RLock()
        self._depth = 0
        self._journal: Journal | None = None
        self._shards: list[int] = []
        self._next = 1

    @abstractmethod
    def _check_shard(self, path: Path) -> tuple[list[str] | None, str]:
        """Return (names of the files that a shard replaces, ""), or (None, what is wrong with the shard)."""

    @abstractmethod
    def _write_shard(self, path: Path, tables: Iterable[pa.Table], replaces: Sequence[str]) -> int:
        """Write a shard, whole or not at all, and return its number of rows; without rows no shard is written."""

    @abstractmethod
    def _read_shard(self, path: Path) -> Iterator[pa.Table]:
        """Yield all rows of a shard, a row group at a time."""

    @abstractmethod
    def _read_journal(self, path: Path) -> Iterator[pa.Table]:
        """Yield the rows of a journal."""

    @abstractmethod
    def _forget(self, number: int) -> None:
        """Drop what is in memory of a shard that is replaced; of all shards when the folder is opened."""

    def __enter__(self) -> Self:
        with self._guard:
            if self._depth == 0:
                if self.path.is_file():
                    raise InputError(self._is_file())
                self.path.mkdir(parents=True, exist_ok=True)
                self._lock.acquire()
                try:
                    self._recover()
                except BaseException:
                    self._lock.release()
                    raise
            self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._guard:
            try:
                if self._depth == 1:
                    self.compact()
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._lock.release()

    def exists(self) -> bool:
        """Whether the folder holds a store, which may be empty."""
        names = [path.name for path in self.path.iterdir()] if self.path.is_dir() else []
        return any(name == "lock" or _SHARD.fullmatch(name) or _JOURNAL.fullmatch(name) for name in names)

    def append(self, row: Mapping[str, Any]) -> None:
        """Write a row to the journal; after that, a killed process does not lose it."""
        with self._guard:
            self._check_open()
            if self._journal is None:
                self._journal = Journal(self._path_of_journal(self._next))
                self._next += 1
            journal = self._journal
            journal.append(row)
            if journal.size >= self._journal_bytes:
                self.compact()

    def compact(self) -> None:
        """Turn the journal into a shard."""
        with self._guard:
            self._check_open()
            if self._journal is not None:
                self._journal.close()
                path, self._journal = self._journal.path, None
                self._take_in(path)

    def _check_open(self) -> None:
        if self._depth == 0 and not self._lock.held:
            raise RuntimeError(f"{self._what} {self.path} is not open: use it within `with store:`")

    def _is_file(self) -> str:
        return f"{self.path} is a file, expected a folder: give the catalog's {self._what} a name without an ending"

    def _from_earlier_versions(self) -> list[Path]:
        """Return journals that were written by earlier versions, moved here."""
        return []

    def _path_of_shard(self, number: int) -> Path:
        return self.path / f"shard-{number:06d}.parquet"

    def _path_of_journal(self, number: int) -> Path:
        return self.path / f"journal-{number:06d}.jsonl"

    def _recover(self) -> None:
        """Finish what a crash has interrupted, and set aside files that do not belong to the store."""
        for number in self._shards:
            self._forget(number)
        self._shards = []
        replaced: set[str] = set()
        journals: list[Path] = []
        numbers = [0]
        for path in sorted(self.path.iterdir()):
            shard, journal = _SHARD.fullmatch(path.name), _JOURNAL.fullmatch(path.name)
            if path.name.startswith(".") or path.name in ("lock", SET_ASIDE):
                continue
            if _SHARD.fullmatch(path.name.removesuffix(".tmp")) and path.name.endswith(".tmp"):
                path.unlink()  # the files that it was made from still exist
            elif shard and path.is_file():
                numbers.append(int(shard[1]))
                replaces, wrong = self._check_shard(path)
                if replaces is None:
                    self._set_aside(path, wrong)
                else:
                    replaced |= {name for name in replaces if _SHARD.fullmatch(name) or _JOURNAL.fullmatch(name)}
                    self._shards.append(int(shard[1]))
            elif journal and path.is_file():
                numbers.append(int(journal[1]))
                journals.append(path)
            else:
                self._set_aside(path, "it is no file of the store")
        self._next = max(numbers) + 1
        for name in sorted(replaced):
            (self.path / name).unlink(missing_ok=True)
        self._shards = [number for number in self._shards if self._path_of_shard(number).name not in replaced]
        journals = [path for path in journals if path.name not in replaced]
        journals += self._from_earlier_versions()
        sync_folder(self.path)
        for path in journals:
            self._take_in(path)
        self._merge_small()

    def _take_in(self, journal: Path) -> None:
        """Turn a journal into the shard with the same number."""
        matched = _JOURNAL.fullmatch(journal.name)
        assert matched is not None
        number = int(matched[1])
        if self._write_shard(self._path_of_shard(number), self._read_journal(journal), [journal.name]):
            self._shards.append(number)
        journal.unlink()
        sync_folder(self.path)

    def _merge_small(self) -> None:
        small = [number for number in self._shards if self._path_of_shard(number).stat().st_size < SMALL_BYTES]
        if len(small) < MERGE_AT:
            return
        for start in range(0, len(small), MERGE_AT):
            group = small[start : start + MERGE_AT]
            self._replace(group, chain.from_iterable(self._read_shard(self._path_of_shard(n)) for n in group))

    def _replace(self, old: list[int], tables: Iterable[pa.Table]) -> None:
        """Replace shards by one shard."""
        number, self._next = self._next, self._next + 1
        names = [self._path_of_shard(replaced).name for replaced in old]
        if self._write_shard(self._path_of_shard(number), tables, names):
            self._shards.append(number)
        for name in names:
            (self.path / name).unlink()
        sync_folder(self.path)
        self._shards = [kept for kept in self._shards if kept not in old]
        for replaced in old:
            self._forget(replaced)

    def _set_aside(self, path: Path, why: str) -> None:
        where = set_aside(path)
        logger.warning("%s: %s; set aside as %s, %s", path, why, os.path.relpath(where), self._lost)
