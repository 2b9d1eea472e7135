"""Digests of the content of datasets.

The digest of a dataset covers the bytes of its file or folder. A dataset class can decide otherwise by one of these:

- `content_digest()` returns a text that is equal if and only if the content is equal, whatever the bytes.
- `generated_from()` returns JSON-like data that determines a dataset without a file.
- `is_store = True`: the dataset itself decides what is missing in it, so its content is no part of any recipe.

A dataset may also have `unfinished()`. It is called after the dataset was saved, and returns why its node should run
again although nothing changes (say, requests that failed), or an empty text. `kedro accept` takes the dataset as it is.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec

MISSING = None
TICK_SECONDS = 0.02
"""Longest time between two changes that a file system may record with the same time; common ones need 4 to 10 ms."""
Stat = list[list[Any]]


def location(dataset: Any) -> str | None:
    """Return the file or folder of a dataset, None where it has none."""
    path = getattr(dataset, "_filepath", None)
    return None if path is None else str(path)


class Contents:
    """Digests of datasets, cached by the size and times of their files.

    Args:
        cache: file of the cached digests; it may be deleted at any time.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._cached = self._saved()
        self._computed: set[str] = set()

    def digest(self, dataset: Any) -> str | None:
        """Return the digest of a dataset's content, None where it does not exist."""
        if hasattr(dataset, "generated_from"):
            return _hash(json.dumps(dataset.generated_from(), sort_keys=True).encode())
        path = location(dataset)
        if path is None or not dataset.exists():
            return MISSING
        own: Callable[[], str] | None = getattr(dataset, "content_digest", None)
        return self.of_files(path) if own is None else self._kept(path, "content", lambda: _own_digest(own, path))

    def of_files(self, path: str) -> str | None:
        """Return a digest of the bytes of a file or of a folder's files, None where there is no file."""
        return self._kept(path, "files", lambda: _hash(_bytes(path))) if _stat(path) else MISSING

    def _kept(self, path: str, kind: str, compute: Callable[[], str]) -> str:
        """Return the cached digest of this kind, or compute it if a file has changed."""
        now = _settled_stat(path)
        if self._cached.get(path, {}).get("stat") != now:
            self._cached[path] = {"stat": now}
        digests = self._cached[path]
        if kind not in digests:
            digests[kind] = compute()
            self._computed.add(path)
        return str(digests[kind])

    def save(self) -> None:
        """Write the digests that were computed, beside those that other runs have written meanwhile."""
        if not self._computed:
            return
        kept = self._saved() | {path: self._cached[path] for path in self._computed}
        # Where nothing can be written, the next plan computes the digests again.
        with suppress(OSError):
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._cache.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(json.dumps(kept))
            temporary.replace(self._cache)
            self._computed.clear()

    def _saved(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._cache.read_text()))
        except (OSError, ValueError):
            return {}


def _own_digest(own: Callable[[], str], path: str) -> str:
    try:
        return own()
    except Exception as error:  # an unreadable file is different from every recorded one
        return _hash(f"unreadable: {type(error).__name__}".encode(), _bytes(path))


def _bytes(path: str) -> bytes:
    """Return a digest of the bytes of a file, or of the names and bytes of a folder's files."""
    filesystem, root = fsspec.core.url_to_fs(path)
    total = hashlib.sha256()
    for file in sorted(filesystem.find(root)):
        total.update(file.removeprefix(root).encode())
        with filesystem.open(file, "rb") as opened:
            while block := opened.read(1 << 20):
                total.update(block)
    return total.digest()


def _settled_stat(path: str) -> Stat:
    """Return `_stat` after the file system's tick is over: a later change within the same tick would not show in it."""
    files = _stat(path)
    newest = max((float(row[2]) for row in files if _is_number(row[2])), default=0.0)
    if 0 <= time.time() - newest < TICK_SECONDS:
        time.sleep(TICK_SECONDS)
        files = _stat(path)
    return files


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def _stat(path: str) -> Stat:
    """Return name, size and times of every file, and its inode or ETag, which differ for a file put in its place."""
    filesystem, root = fsspec.core.url_to_fs(path)
    files = filesystem.find(root, detail=True)
    return [
        [name, info["size"], *(str(info.get(key, "")) for key in ("mtime", "created", "ino", "LastModified", "ETag"))]
        for name, info in files.items()
    ]


def _hash(*parts: bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest()[:16]
