"""The store: appends rows to a journal, turns journals into shards, and recovers from crashes."""

import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from forkpipe.core.errors import InputError
from forkpipe.core.progress import logger
from forkpipe.core.rows import TraceRow
from forkpipe.stores.trace_store import shards
from forkpipe.stores.trace_store.index import KINDS, Index, scan_shard
from forkpipe.stores.trace_store.journal import Journal, sync_folder
from forkpipe.stores.trace_store.lock import FolderLock
from forkpipe.stores.trace_store.recovery import SET_ASIDE, journal_tables, set_aside

JOURNAL_BYTES = 64 << 20
"""The size at which a journal becomes a shard: about 16,000 rows of 4 kB, a pause of half a second."""
SMALL_BYTES, MERGE_AT = 8 << 20, 16
"""Opening the store merges this many shards below this size: each run leaves at least one."""
READ_BYTES = 64 << 20
"""Bytes of texts in memory at a time when many rows are read."""

_SHARD = re.compile(r"shard-(\d{6,})\.parquet")
_JOURNAL = re.compile(r"journal-(\d{6,})\.jsonl")


class TraceStore:
    """Rows of attempts. Use it within `with store:`, which holds the lock; such blocks may be nested.

    `append` may be called from several threads.

    Args:
        path: the folder. If a file PATH.jsonl exists, it is a store of an earlier version: its rows are moved here.
        journal_bytes: see `JOURNAL_BYTES`.
    """

    def __init__(self, path: Path, *, journal_bytes: int = JOURNAL_BYTES) -> None:
        self.path = Path(path)
        self.kinds = list(KINDS)
        """Kinds of errors, by the code that `Index.kind` holds."""
        self._journal_bytes = journal_bytes
        self._lock = FolderLock(self.path / "lock", f"trace store {self.path}")
        self._guard = threading.RLock()
        self._depth = 0
        self._journal: Journal | None = None
        self._shards: list[int] = []
        self._next = 1
        self._indexed: dict[int, Index] = {}

    def __enter__(self) -> "TraceStore":
        with self._guard:
            if self._depth == 0:
                if self.path.is_file():
                    raise InputError(
                        f"{self.path} is a file, expected a folder: give the catalog's trace store a name without an "
                        "ending; a store of an earlier version, NAME.jsonl beside the folder NAME, is taken over"
                    )
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

    def append(self, row: TraceRow) -> None:
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

    def index(self) -> Index:
        """Return an entry for each row; the journal becomes a shard first. A shard that cannot be read is set aside."""
        with self._guard:
            self.compact()
            for number in list(self._shards):
                if number in self._indexed:
                    continue
                path = self._path_of_shard(number)
                try:
                    self._indexed[number] = scan_shard(path, number, self.kinds)
                except (*shards.UNREADABLE, ValueError, KeyError, TypeError) as error:
                    self._set_aside(path, f"it cannot be read ({type(error).__name__})")
                    self._shards.remove(number)
            parts = [self._indexed[number] for number in self._shards]
            return Index.concatenated(parts) if parts else Index.empty()

    def size(self) -> int:
        """Return the bytes of all shards."""
        return sum(self._path_of_shard(number).stat().st_size for number in self._shards)

    def tables(self, entries: Index, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows of entries of the index, in the order of the entries, about `READ_BYTES` of texts at a time.

        Rows that were written in about this order are stored close together, and then each text is read once.
        """
        rows = sum(len(part) for part in self._indexed.values())
        step = max(shards.GROUP_ROWS, int(READ_BYTES / (3 * max(self.size(), 1) / max(rows, 1))))  # texts shrink
        for start in range(0, len(entries), step):
            yield self._read(entries.take(slice(start, start + step)), columns)

    def rows(self) -> Iterator[TraceRow]:
        """Yield every row, one for each (request_id, attempt), in no particular order."""
        index = self.index()
        pairs = np.stack([index.key, index.attempt.astype(np.uint64)], axis=1)
        _, first = np.unique(pairs, axis=0, return_index=True)
        for table in self.tables(index.take(np.sort(first))):
            yield from table.to_pylist()

    def drop(self, entries: Index) -> None:
        """Delete the rows of entries of the index: each shard that holds some is replaced by one without them."""
        with self._guard:
            self.compact()
            for number in np.unique(entries.shard).tolist():
                path = self._path_of_shard(number)
                kept = np.ones(pq.read_metadata(path).num_rows, np.bool_)
                kept[entries.row[entries.shard == number]] = False
                self._replace([number], _filtered(shards.read_all(path), kept))

    def _check_open(self) -> None:
        if self._depth == 0 and not self._lock.held:
            raise RuntimeError(f"trace store {self.path} is not open: use it within `with store:`")

    def _path_of_shard(self, number: int) -> Path:
        return self.path / f"shard-{number:06d}.parquet"

    def _path_of_journal(self, number: int) -> Path:
        return self.path / f"journal-{number:06d}.jsonl"

    def _recover(self) -> None:
        """Finish what a crash has interrupted, and set aside files that do not belong to the store."""
        self._shards, self._indexed = [], {}
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
                replaces, wrong = shards.check_shard(path)
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
        earlier = self.path.with_name(self.path.name + ".jsonl")
        if earlier.is_file():
            journals.append(self._path_of_journal(self._next))
            self._next += 1
            earlier.rename(journals[-1])
            logger.info("%s, a store of an earlier version, is taken over into %s", earlier, self.path)
        sync_folder(self.path)
        for path in journals:
            self._take_in(path)
        self._merge_small()

    def _take_in(self, journal: Path) -> None:
        """Turn a journal into the shard with the same number."""
        matched = _JOURNAL.fullmatch(journal.name)
        assert matched is not None
        number = int(matched[1])
        if shards.write_shard(self._path_of_shard(number), journal_tables(journal), [journal.name]):
            self._shards.append(number)
        journal.unlink()
        sync_folder(self.path)

    def _merge_small(self) -> None:
        small = [number for number in self._shards if self._path_of_shard(number).stat().st_size < SMALL_BYTES]
        if len(small) < MERGE_AT:
            return
        for start in range(0, len(small), MERGE_AT):
            group = small[start : start + MERGE_AT]
            self._replace(group, chain.from_iterable(shards.read_all(self._path_of_shard(n)) for n in group))

    def _replace(self, old: list[int], tables: Iterable[pa.Table]) -> None:
        """Replace shards by one shard."""
        number, self._next = self._next, self._next + 1
        names = [self._path_of_shard(replaced).name for replaced in old]
        if shards.write_shard(self._path_of_shard(number), tables, names):
            self._shards.append(number)
        for name in names:
            (self.path / name).unlink()
        sync_folder(self.path)
        self._shards = [kept for kept in self._shards if kept not in old]
        for replaced in old:
            self._indexed.pop(replaced, None)

    def _read(self, entries: Index, columns: Sequence[str] | None) -> pa.Table:
        """Return the rows of entries, in the order of the entries."""
        order = np.lexsort((entries.row, entries.shard))
        tables = []
        for number in np.unique(entries.shard).tolist():
            path = self._path_of_shard(number)
            try:
                rows = entries.row[order][entries.shard[order] == number]
                tables.append(shards.read_rows(path, rows, columns))
            except shards.UNREADABLE as error:
                if path.exists():
                    self._set_aside(path, f"its texts cannot be read ({type(error).__name__})")
                raise InputError(
                    f"{path} cannot be read: run again, and the requests whose answers it held are sent again"
                ) from error
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return pa.concat_tables(tables).combine_chunks().take(pa.array(back))

    def _set_aside(self, path: Path, why: str) -> None:
        where = set_aside(path)
        logger.warning("%s: %s; set aside as %s, its requests are sent again", path, why, os.path.relpath(where))


def _filtered(tables: Iterable[pa.Table], kept: np.ndarray) -> Iterator[pa.Table]:
    start = 0
    for table in tables:
        yield table.filter(pa.array(kept[start : start + len(table)]))
        start += len(table)
