"""The index of a store: a few numbers for each attempt, in arrays, without the texts."""

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa

from forkpipe.core.ids import ID_LENGTH
from forkpipe.core.records import REFUSED
from forkpipe.stores.trace_store.shards import decoded, read_columns

_NUMBERS = ("attempt", "tokens_in", "tokens_out", "seconds")
_COLUMNS = ("request_id", *_NUMBERS, "sampling", "finish_reason", "status", "error")
FINISH_REASONS = ("stop", "length", "error")
STOP, LENGTH, ERROR = range(3)
_FINISH = {reason: code for code, reason in enumerate(FINISH_REASONS)}
KINDS = ("", "other", REFUSED)
"""Kinds of errors that every store knows, by their code; others are added as they come."""
MOST_KINDS = 1000
"""Most kinds of errors that are counted apart, so that an engine whose every error differs cannot fill the memory."""


def keys_of(request_ids: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return ids of 16 hex digits as numbers; ValueError for any other text."""
    import pyarrow.compute as pc  # slow to import, so only where it is used

    chunks = request_ids.chunks if isinstance(request_ids, pa.ChunkedArray) else [request_ids]
    keys = [np.zeros(0, np.uint64)]
    for chunk in chunks:
        joined = b"".join(chunk.cast(pa.binary()).to_pylist())
        if len(joined) != ID_LENGTH * len(chunk) or not pc.all(pc.equal(pc.binary_length(chunk), ID_LENGTH)).as_py():
            raise ValueError(f"a request id does not have {ID_LENGTH} digits")
        keys.append(np.frombuffer(bytes.fromhex(joined.decode("ascii")), dtype=">u8").astype(np.uint64))
    return np.concatenate(keys)


@dataclass(slots=True)
class Index:
    """Arrays with one entry for each attempt; `shard` and `row` say where its text is stored.

    key: the request's id as a number. limit: the max_tokens of the request. finish: index into FINISH_REASONS. kind:
    index into `kinds`, the kind of error that ended the attempt, 0 for none.
    """

    key: np.ndarray
    attempt: np.ndarray
    tokens_in: np.ndarray
    tokens_out: np.ndarray
    limit: np.ndarray
    finish: np.ndarray
    failed: np.ndarray
    kind: np.ndarray
    seconds: np.ndarray
    shard: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.key)

    def take(self, chosen: np.ndarray | slice) -> "Index":
        """Return the entries at some positions, given as numbers, a mask or a slice."""
        return Index(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})

    @staticmethod
    def concatenated(parts: "list[Index]") -> "Index":
        """Return the entries of all parts."""
        return Index(**{field.name: np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(Index)})

    @staticmethod
    def empty() -> "Index":
        """Return an index without entries."""
        return Index(**{field.name: np.zeros(0, _TYPES[field.name]) for field in fields(Index)})


_TYPES = {
    "key": np.uint64, "attempt": np.int32, "tokens_in": np.int32, "tokens_out": np.int32, "limit": np.int32,
    "finish": np.int8, "failed": np.bool_, "kind": np.int16, "seconds": np.float32, "shard": np.int32, "row": np.int32,
}  # fmt: skip


def scan_shard(path: Path, shard: int, kinds: list[str]) -> Index:
    """Return the index of one shard without reading its texts.

    Args:
        shard: its number, for `Index.shard`.
        kinds: kinds of errors by code; new kinds are appended.
    """
    table = read_columns(path, _COLUMNS)
    sampling, settings = decoded(table["sampling"])
    limits = np.array([int(json.loads(text)["max_tokens"]) for text in settings], np.int32)
    finish, reasons = decoded(table["finish_reason"])
    finish_codes = np.array([_FINISH.get(reason, ERROR) for reason in reasons], np.int8)
    status, states = decoded(table["status"])
    failed = np.array([state == "failed" for state in states], np.bool_)
    errors, texts = decoded(table["error"])
    kind_codes = np.array([_code(error_kind(text), kinds) for text in texts], np.int16)
    return Index(
        key=keys_of(table["request_id"]),
        **{name: table[name].to_numpy().astype(_TYPES[name]) for name in _NUMBERS},
        limit=limits[sampling],
        finish=finish_codes[finish],
        failed=failed[status],
        kind=kind_codes[errors],
        shard=np.full(len(table), shard, np.int32),
        row=np.arange(len(table), dtype=np.int32),
    )


def error_kind(error: str) -> str:
    """Return the kind of an error: the part of its text before the first colon, if that is short.

    >>> error_kind("timeout: no answer in 600 s"), error_kind("it did not work"), error_kind("")
    ('timeout', 'other', '')
    """
    if not error:
        return ""
    kind, colon, _ = error.partition(":")
    return kind.strip() if colon and 0 < len(kind.strip()) <= 40 else "other"


def _code(kind: str, kinds: list[str]) -> int:
    if kind not in kinds and len(kinds) >= MOST_KINDS:
        kind = "other"
    if kind not in kinds:
        kinds.append(kind)
    return kinds.index(kind)
