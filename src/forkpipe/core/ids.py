"""Hashes: the ids of problems, requests and traces, the seeds derived from them, and digests of files.

An id is a function of what it names and of nothing else (no clock, no counter, no order), so that a run on
another machine, or the same run again, gives the same ids and finds the work that is already done.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

ID_LENGTH = 16
"""Hex digits of an id: 64 bits, a collision among ten million rows has a chance of about 3e-6."""


def content_hash(*parts: Any) -> str:
    """Hash JSON-able parts to 16 hex digits, sensitive to their order and types.

    >>> content_hash("2 + 2", "4") == content_hash("2 + 2", "4")
    True
    >>> content_hash("1") == content_hash(1)
    False
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def digest(blocks: Iterable[bytes]) -> str:
    """Hash bytes that come in blocks, for example those of a file, to 16 hex digits; how they are cut is no matter.

    >>> digest([b"2 +", b" 2"]) == digest([b"2 + 2"])
    True
    """
    total = hashlib.sha256()
    for block in blocks:
        total.update(block)
    return total.hexdigest()[:ID_LENGTH]


def derived_seed(*parts: Any) -> int:
    """Derive a seed in [0, 2**31) from JSON-able parts: one request, one sample, one seed.

    Two requests must never share a seed: engines that seed per request would return near-identical samples.
    """
    return int(content_hash("seed", *parts), 16) % 2**31


def unit_interval(*parts: Any) -> float:
    """Map JSON-able parts to a number in [0, 1), uniform over distinct parts: for splits and fault rates."""
    digits = int(content_hash("unit", *parts), 16)
    return digits / float(16**ID_LENGTH)
