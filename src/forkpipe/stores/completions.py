"""A store of completions by request id, so that a run that is killed and started again asks for nothing twice.

A store is one JSONL file. Each line is a completion, with the engine that wrote it and the token limit of its request.
The id of a request for a checkpoint holds the checkpoint's digest, so completions outlive a change of the learning
rate, and no checkpoint is given the completions of another.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from forkpipe.core.engine import Engine
from forkpipe.core.errors import InputError
from forkpipe.core.progress import logger
from forkpipe.core.records import REFUSED, Completion, Request

APPEND_SECONDS = 1.0
"""Least time between two writes; completions that come in between are written with the next one."""
_BEGINNING = b'{"request_id": "'
_FIELDS = tuple(declared.name for declared in fields(Completion))


class _Line(NamedTuple):
    """The place of a completion in the file, and what decides whether it answers a request."""

    offset: int
    engine: str
    """Empty in files of older versions, whose completions count for any engine."""
    max_tokens: int | None
    """None in files of older versions."""
    cut: bool
    tokens: int

    def answers(self, request: Request, engine: str) -> bool:
        """Whether this engine would complete the request in the same way, although its token limit may be another."""
        limit = request.sampling.max_tokens
        if self.engine not in ("", engine):
            return False
        if self.max_tokens in (None, limit):
            return True
        return not self.cut and (self.max_tokens < limit or self.tokens < limit)


class CompletionStore:
    """Completions by request id; durable once `append` has returned.

    Args:
    path: the file, created by the first `append`; InputError if it holds something else. None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lines: dict[str, list[_Line]] = {}
        self._scanned = 0
        if path is not None and path.exists():
            if path.is_dir():
                raise InputError(f"{path}: is a folder, expected a file of completions as JSON lines")
            with path.open("rb") as file:
                first = file.read(3 * len(_BEGINNING)).split(b"\n")[:2]  # the first line may be torn
                if not all(line.startswith(_BEGINNING) or _BEGINNING.startswith(line) for line in first):
                    raise InputError(f"{path}: is no cache of answers and no store of completions, expected JSON lines")

    def of(self, requests: Iterable[Request], engine: str = "") -> "Completions":
        """Return the completions that the store holds of some requests; `Completions.ask` gets the others.

        Args:
            requests: equal ones count once.
            engine: version and identity of the engine (`core.engine.described`), whose completions alone count.
        """
        self._scan()
        wanted = {request.request_id: request for request in requests}
        offsets = {
            name: line.offset
            for name, request in wanted.items()
            for line in self._lines.get(name, ())
            if line.answers(request, engine)
        }
        return Completions(self, wanted, engine, offsets)

    @property
    def keeps(self) -> bool:
        """Whether a file keeps the completions."""
        return self._path is not None

    def holds(self, request_id: str) -> bool:
        """Whether any completion of the request is held, failures apart."""
        self._scan()
        return request_id in self._lines

    def append(
        self, completions: Iterable[Completion], engine: str = "", max_tokens: Mapping[str, int] | None = None
    ) -> dict[str, int]:
        """Write completions and wait until they are on disk; return their offsets by request id.

        Args:
            completions: may hold failures, which answer nothing.
            engine: version and identity of the engine that wrote them.
            max_tokens: their limits by request id.
        """
        offsets: dict[str, int] = {}
        if self._path is None:
            return offsets
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+b") as file:
            if file.tell() and not _ends_line(file):
                file.write(b"\n")
            for completion in completions:
                offsets[completion.request_id] = file.tell()
                limit = (max_tokens or {}).get(completion.request_id)
                # Not `asdict`, which copies every token id.
                row = {name: getattr(completion, name) for name in _FIELDS} | {"engine": engine, "max_tokens": limit}
                file.write(json.dumps(row).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return offsets

    def read(self, offset: int) -> Completion:
        """Return the completion at an offset."""
        assert self._path is not None
        with self._path.open("rb") as file:
            file.seek(offset)
            row = json.loads(file.readline())
        kept = {name: value for name, value in row.items() if name in _FIELDS}
        return Completion(**{**kept, "token_ids": tuple(row["token_ids"])})

    def _scan(self) -> None:
        """Index the lines that were appended since the last scan, with a warning for a line that a crash has torn."""
        if self._path is None or not self._path.exists():
            return
        if self._path.stat().st_size < self._scanned:  # the file was replaced
            self._lines, self._scanned = {}, 0
        with self._path.open("rb") as file:
            file.seek(self._scanned)
            for line in file:
                offset = self._scanned
                self._scanned += len(line)
                if not line.strip():  # the end of a torn line
                    continue
                try:
                    row = json.loads(line)
                    if row["finish_reason"] == "error" or not isinstance(row["token_ids"], list):
                        continue
                    engine, cut = sys.intern(row.get("engine", "")), row["finish_reason"] == "length"
                    place = _Line(offset, engine, row.get("max_tokens"), cut, row["tokens_out"])
                    self._lines.setdefault(row["request_id"], []).append(place)
                except (ValueError, KeyError, TypeError):
                    logger.warning(
                        "%s: the line at byte %d is torn, its completion is asked for again", self._path, offset
                    )


@dataclass(eq=False)
class Completions(Mapping[str, Completion]):
    """The completions of some requests by request id; each is read from the store when it is looked up."""

    store: CompletionStore
    requests: Mapping[str, Request]
    engine: str
    _offsets: dict[str, int]
    _in_memory: dict[str, Completion] = field(init=False, default_factory=dict)
    """Completions that are not written yet; all of them if the store keeps nothing."""
    failed: dict[str, Completion] = field(init=False, default_factory=dict)
    """What came of requests that failed: they have no completion."""

    def __getitem__(self, request_id: str) -> Completion:
        if request_id in self._in_memory:
            return self._in_memory[request_id]
        return self.store.read(self._offsets[request_id])

    def __iter__(self) -> Iterator[str]:
        return iter({**self._offsets, **self._in_memory})

    def __len__(self) -> int:
        return len(self._offsets) + len(self._in_memory)

    @property
    def missing(self) -> list[Request]:
        """The requests without a completion, in order."""
        return [request for name, request in self.requests.items() if name not in self]

    def __contains__(self, request_id: object) -> bool:
        return request_id in self._offsets or request_id in self._in_memory

    def ask(self, engine: Engine, on_progress: Callable[[int], None] | None = None) -> None:
        """Ask an engine for what is missing, and write each completion to the store soon after it has come.

        Requests that fail are sent once more, apart from those that the engine refuses. A request that fails then, or
        that the engine leaves out, stays missing; InputError if it answers one that is not open. `on_progress` is
        called with the number of completions so far.
        """
        self._ask(engine, self.missing, on_progress)
        refused = self.refused
        again = [self.requests[name] for name in self.failed if name not in refused]
        if again:
            logger.warning(
                "%d requests failed and are sent again: %s", len(again), next(iter(self.failed.values())).error
            )
        self._ask(engine, again, on_progress)

    @property
    def refused(self) -> dict[str, Completion]:
        """What came of the requests that the engine refused for their content or length: asking again cannot help."""
        return {name: failed for name, failed in self.failed.items() if failed.error.startswith(REFUSED)}

    def check_whole(self, what: str, unit: str = "samples") -> None:
        """Raise InputError if a request has no completion.

        Args:
            what: who answered, for the message.
            unit: what was asked for, for the message.
        """
        self._check(what, unit, len(self.missing), self.failed)

    def check_answered(self, what: str, unit: str = "questions") -> None:
        """Raise InputError if a request has no completion although asking again can help; warn of refused ones."""
        refused = self.refused
        for_now = {name: failed for name, failed in self.failed.items() if name not in refused}
        self._check(what, unit, len(self.missing) - len(refused), for_now)
        if refused:
            example = next(iter(refused.values())).error
            logger.warning(
                "%s refused %d of %d %s, for example %r", what, len(refused), len(self.requests), unit, example
            )

    def _check(self, what: str, unit: str, missing: int, failed: Mapping[str, Completion]) -> None:
        if not missing:
            return
        errors = [f", for example {completion.error!r}" for completion in failed.values()][:1]
        kept = "what was answered is kept, and" if self.store.keeps else "no file keeps what was answered, and"
        again = f"the other {missing}" if self.store.keeps else "all of them"
        raise InputError(
            f"{what} answered {len(self)} of {len(self.requests)} {unit}, expected all{''.join(errors)}; "
            f"{kept} the same command asks for {again}"
        )

    def _ask(self, engine: Engine, requests: Sequence[Request], on_progress: Callable[[int], None] | None) -> None:
        if not requests:
            return
        limits = {request.request_id: request.sampling.max_tokens for request in requests}
        waiting = set(limits)
        pending: list[Completion] = []
        written = float("-inf")
        try:
            for completion in engine.generate(requests):
                name = completion.request_id
                if name not in waiting:
                    raise InputError(f"the engine answered request {name}, which is not open")
                waiting.remove(name)
                self.failed.pop(name, None)
                (self.failed if completion.finish_reason == "error" else self._in_memory)[name] = completion
                pending.append(completion)
                if time.monotonic() - written >= APPEND_SECONDS:
                    self._write(pending, limits)
                    pending, written = [], time.monotonic()
                if on_progress is not None:
                    on_progress(len(self))
        finally:
            if pending:
                self._write(pending, limits)

    def _write(self, completions: Sequence[Completion], max_tokens: Mapping[str, int]) -> None:
        offsets = self.store.append(completions, self.engine, max_tokens)
        for completion in completions:
            if completion.request_id in self._in_memory and completion.request_id in offsets:
                self._offsets[completion.request_id] = offsets[completion.request_id]
                del self._in_memory[completion.request_id]


def _ends_line(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")
