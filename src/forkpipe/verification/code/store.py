"""Test cases that are too large for a table: one compressed file a problem, named by its content."""

import gzip
import hashlib
import json
import os
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from forkpipe.core.errors import InputError

LARGE = 1 << 20
"""Characters of JSON text above which cases belong in the store."""


class CaseStore:
    """A folder of test cases.

    Args:
        folder: None for none: loading says which parameter names one.
    """

    def __init__(self, folder: str | Path | None) -> None:
        self._folder = None if folder is None else Path(folder)

    def add(self, cases: list[dict[str, Any]]) -> dict[str, str]:
        """Write cases unless they are there; return what stands in the tests as `tests_file`."""
        if self._folder is None:
            raise InputError("cases are too large for a table, expected a folder for them (tests)")
        text = json.dumps(cases, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(text).hexdigest()
        path = f"{digest[:2]}/{digest}.json.gz"
        target = self._folder / path
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(f".{os.getpid()}.partial")
            partial.write_bytes(gzip.compress(text, mtime=0))
            partial.replace(target)
        return {"path": path, "sha256": digest}

    def load(self, path: str, sha256: str) -> list[dict[str, Any]]:
        """Return cases; InputError where the file is missing, cut, or has another content."""
        if self._folder is None:
            raise InputError(f"tests lie in the file {path}, expected a folder (verification.options.code.tests)")
        return _load(str(self._folder), path, sha256)


@lru_cache(maxsize=16)
def _load(folder: str, path: str, sha256: str) -> list[dict[str, Any]]:
    full = Path(folder) / path
    if not full.resolve().is_relative_to(Path(folder).resolve()):
        raise InputError(f"{path}: lies outside of {folder}")
    try:
        text = gzip.decompress(full.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{full}: cannot be read as test cases: {error}") from error
    if hashlib.sha256(text).hexdigest() != sha256:
        raise InputError(f"{full}: has another content than the tests name, expected sha256 {sha256}")
    cases: list[dict[str, Any]] = json.loads(text)
    return cases
