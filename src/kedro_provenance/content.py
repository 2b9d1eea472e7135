"""Digests of content: of the files behind a dataset, by what they hold rather than by their bytes where that differs.

A dataset class may say how: `content_digest()` returns a text that is equal if and only if the content is. Any other is
digested by the bytes of its file or folder. A dataset with `is_store = True` decides inside what is missing, so its
content is no part of any recipe; `generated_from()` describes a dataset that has no file.
"""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec

MISSING = None
TICK_SECONDS = 0.02
"""How finely file systems tell times apart, with some room: the common ones by 4 to 10 ms."""
Stat = list[list[Any]]


def location(dataset: Any) -> str | None:
    """Return the file or folder behind a dataset, None where there is none."""
    path = getattr(dataset, "_filepath", None)
    return None if path is None else str(path)


class Contents:
    """Digests of datasets, kept by size and time of their files so that a second look costs nothing.

    Args:
        cache: file of the kept digests; it may be deleted at any time.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._kept: dict[str, Any] = {}
        if cache.exists():
            try:
                self._kept = json.loads(cache.read_text())
            except ValueError:
                self._kept = {}

    def digest(self, dataset: Any) -> str | None:
        """Return the digest of a dataset's content, None where there is nothing."""
        if hasattr(dataset, "generated_from"):
            return _hash(json.dumps(dataset.generated_from(), sort_keys=True).encode())
        path = location(dataset)
        if path is None or not dataset.exists():
            return MISSING
        now = _settled_stat(path)
        kept = self._kept.get(path)
        if kept is not None and kept["stat"] == now:
            return str(kept["digest"])
        found = _content_digest(dataset, path)
        self._kept[path] = {"stat": now, "digest": found}
        return found

    def save(self) -> None:
        """Write the kept digests."""
        self._cache.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._cache.with_suffix(".tmp")
        temporary.write_text(json.dumps(self._kept))
        temporary.replace(self._cache)


def _content_digest(dataset: Any, path: str) -> str:
    own: Callable[[], str] | None = getattr(dataset, "content_digest", None)
    if own is not None:
        try:
            return own()
        except Exception as error:  # an unreadable file has a content too, one that no record has
            return _hash(f"unreadable: {type(error).__name__}".encode(), _bytes(path))
    return _hash(_bytes(path))


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
    """Return `_stat`, once the clock has moved on: a later change within the same tick would not show in it."""
    found = _stat(path)
    newest = max((float(row[2]) for row in found if _is_number(row[2])), default=0.0)
    if 0 <= time.time() - newest < TICK_SECONDS:
        time.sleep(TICK_SECONDS)
        found = _stat(path)
    return found


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def _stat(path: str) -> Stat:
    """Return name, size and times of every file, and what else tells a file from one put in its place."""
    filesystem, root = fsspec.core.url_to_fs(path)
    found = filesystem.find(root, detail=True)
    return [
        [name, info["size"], *(str(info.get(key, "")) for key in ("mtime", "created", "ino", "LastModified", "ETag"))]
        for name, info in found.items()
    ]


def _hash(*parts: bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest()[:16]
