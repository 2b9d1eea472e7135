"""Hashes: the ids of problems, requests and traces, the seeds derived from them, and digests of files.

An id depends only on what it names, not on a clock, a counter or an order. So the same run, here or on another
machine, computes the same ids and finds the work that is already done.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ID_LENGTH = 16
"""Hex digits of an id: 64 bits. The chance of a collision among ten million rows is about 3e-6."""


def content_hash(*parts: Any) -> str:
    """Hash values that JSON can hold to 16 hex digits; their order and types count.

    >>> content_hash("2 + 2", "4") == content_hash("2 + 2", "4")
    True
    >>> content_hash("1") == content_hash(1)
    False
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def digest(parts: Iterable[bytes | Path]) -> str:
    """Hash the concatenation of parts to 16 hex digits: bytes, and contents of files, which memory need not hold.

    >>> digest([b"2 +", b" 2"]) == digest([b"2 + 2"])
    True
    """
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            with part.open("rb") as file:
                hashlib.file_digest(file, lambda: total)
        else:
            total.update(part)
    return total.hexdigest()[:ID_LENGTH]


def derived_seed(*parts: Any) -> int:
    """Derive a seed in [0, 2**31) from values that JSON can hold.

    Every sample of every request gets its own seed: with equal seeds, engines return nearly identical samples.
    """
    return int(content_hash("seed", *parts), 16) % 2**31


def unit_interval(*parts: Any) -> float:
    """Map values that JSON can hold to [0, 1), uniformly over distinct values: for splits and fault rates."""
    digits = int(content_hash("unit", *parts), 16)
    return digits / float(16**ID_LENGTH)
