"""Digests of the bytes of files. A local file is read again only when its size or times change, also by later runs."""

import json
import os
import time
from contextlib import suppress
from pathlib import Path

from forkpipe.core.hub import pinned
from forkpipe.core.ids import digest

SETTLED_SECONDS = 1.0
"""A file that changed so recently may change again without another time."""

Stat = tuple[str, int, int, int, int]
"""What identifies the content of a local file: path, inode, size, and times of modification and change."""

_digests: dict[Stat, str] = {}
_kept_in: Path | None = None


def keep_in(file: Path) -> None:
    """Keep digests of local files in a JSON file, which may be deleted at any time, and use those that it holds."""
    global _kept_in
    _kept_in = file
    _digests.update(_saved(file))


def file_digest(path: str) -> str:
    """Return a hash of a file's bytes, 16 hex digits; of a file on the hub at a commit, of its path."""
    import fsspec

    if pinned(path):
        return digest([path.encode()])
    before = settled_stat(path)
    if before is not None and before in _digests:
        return _digests[before]
    with fsspec.open(path, "rb") as file:
        computed = digest(iter(lambda: file.read(1 << 20), b""))
    if before is not None and before == settled_stat(path):
        _digests[before] = computed
        _save(before, computed)
    return computed


def settled_stat(path: str) -> Stat | None:
    """Return what identifies the content of a local file; None for other files, and for one that just changed."""
    try:
        stat = os.stat(path)
    except OSError:  # a URL
        return None
    if abs(time.time() - max(stat.st_mtime, stat.st_ctime)) < SETTLED_SECONDS:
        return None
    return os.path.abspath(path), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _save(stat: Stat, computed: str) -> None:
    """Add a digest to the kept ones, of which each path has one; other processes may add theirs meanwhile."""
    if _kept_in is None:
        return
    kept = {row[0]: [*row[1:], text] for row, text in (_saved(_kept_in) | {stat: computed}).items()}
    with suppress(OSError):  # where nothing can be written, the next run computes the digest again
        _kept_in.parent.mkdir(parents=True, exist_ok=True)
        temporary = _kept_in.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(kept))
        temporary.replace(_kept_in)


def _saved(file: Path) -> dict[Stat, str]:
    try:
        rows = json.loads(file.read_text())
        return {
            (path, ino, size, modified, changed): text for path, (ino, size, modified, changed, text) in rows.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
