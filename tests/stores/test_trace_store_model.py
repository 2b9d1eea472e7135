"""The trace store against a model of it: whatever is appended, compacted, dropped and interrupted, in any order.

A crash strikes at any write, sync, rename or removal. One of the process leaves what was handed to the operating
system; one of the machine also takes what was not synced.
"""

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from forkpipe.stores.trace_store import TraceStore, folder, journal

KEYS = st.tuples(st.integers(0, 5), st.integers(0, 3))
TEXTS = st.sampled_from(["", "a text\nof two lines", "x" * 300, '{"request_id": 1}\n', "\u2028 \U0001f600"])


class Crash(BaseException):
    """The process or the machine stops here."""


@contextmanager
def crash_after(calls):
    """Stop at the n-th write, sync, rename or removal; a write is left half done."""
    left = calls

    def strikes():
        nonlocal left
        left -= 1
        return left < 0

    def wrapped(real):
        def call(*args, **kwargs):
            if strikes():
                raise Crash
            return real(*args, **kwargs)

        return call

    real_write = os.write

    def write(fd, data):
        if strikes():
            real_write(fd, data[: len(data) // 2])
            raise Crash
        return real_write(fd, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", write)
        patch.setattr(os, "fsync", wrapped(os.fsync))
        patch.setattr(Path, "rename", wrapped(Path.rename))
        patch.setattr(Path, "unlink", wrapped(Path.unlink))
        yield


def row(number, attempt, text):
    return {
        "request_id": f"{number:016x}", "attempt": attempt, "trace_id": "t", "problem_id": "p", "teacher": "t",
        "teacher_revision": "", "sample": 0, "seed": 0, "prompt": "", "prompt_hash": "",
        "sampling": '{"max_tokens": 9}', "text": text, "reasoning": "", "tokens_in": 0, "tokens_out": 0,
        "finish_reason": "stop", "status": "done", "error": "", "seconds": 0.0, "run_id": "",
    }  # fmt: skip


class StoreModel(RuleBasedStateMachine):
    """`sure`: key -> text that must be there. `maybe`: keys of which a crash has left nobody knows what."""

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(journal, "SYNC_SECONDS", 3600)
        self.patch.setattr(journal, "SYNC_ROWS", 3)
        self.patch.setattr(folder, "MERGE_AT", 4)
        self.patch.setattr(os, "fsync", lambda fd: None)  # slow, and no process of ours can see what it does
        self.folder = Path(tempfile.mkdtemp())
        self.sure = {}
        self.maybe = {}
        self.in_journal = []
        self.store = None

    @initialize(journal_bytes=st.sampled_from([400, 1500, 1 << 20]))
    def begin(self, journal_bytes):
        self.journal_bytes = journal_bytes
        self.open()

    def open(self):
        self.store = TraceStore(self.folder / "s", journal_bytes=self.journal_bytes)
        self.store.__enter__()

    @rule(key=KEYS, text=TEXTS)
    def append(self, key, text):
        """A key is appended once, as an engine answers a request once an attempt."""
        if key in self.sure or key in self.maybe:
            return
        self.store.append(row(*key, text))
        self.sure[key] = text
        self.in_journal.append(key)

    @rule()
    def compact(self):
        self.store.compact()
        self.in_journal = []

    @rule()
    def reopen(self):
        self.store.__exit__(None, None, None)
        self.in_journal = []
        self.open()

    @precondition(lambda self: self.sure)
    @rule(data=st.data())
    def drop(self, data):
        key = data.draw(st.sampled_from(sorted(self.sure)))
        index = self.store.index()
        self.in_journal = []
        self.store.drop(index.take((index.key == key[0]) & (index.attempt == key[1])))
        del self.sure[key]

    @rule(calls=st.integers(0, 12), what=st.sampled_from(["append", "compact", "close", "drop"]), key=KEYS, text=TEXTS)
    def crash(self, calls, what, key, text):
        with crash_after(calls):
            try:
                if what == "append" and key not in self.sure and key not in self.maybe:
                    self.maybe[key] = text
                    self.store.append(row(*key, text))
                elif what == "drop" and key in self.sure:
                    index = self.store.index()
                    self.maybe[key] = self.sure.pop(key)
                    self.store.drop(index.take((index.key == key[0]) & (index.attempt == key[1])))
                elif what == "close":
                    self.store.__exit__(None, None, None)
                else:
                    self.store.compact()
            except Crash:
                pass
        self.die()
        with crash_after(calls), suppress(Crash):
            self.open()
        self.die()
        self.settle()

    @rule(lost=st.integers(0, 2000))
    def lose_power(self, lost):
        """What was not synced may be gone, wholly or in part."""
        left = self.store._journal
        if left is not None:
            unsynced = self.in_journal[len(self.in_journal) - left._unsynced :] if left._unsynced else []
            self.in_journal = []
            for key in unsynced:
                self.maybe[key] = self.sure.pop(key)
            lines = left.path.read_bytes().splitlines(keepends=True)
            durable = len(b"".join(lines[: left.rows - len(unsynced)]))
            os.truncate(left.path, max(durable, left.size - lost))
        self.die()
        self.settle()

    def die(self):
        """Leave the store as a dead process does."""
        left = self.store._journal
        if left is not None:
            left._closed.set()
            if left._fd >= 0:
                os.close(left._fd)
                left._fd = -1
        self.store._lock.release()
        self.in_journal = []

    def settle(self):
        """Open what is left; from here on it is known what a crash has taken."""
        self.open()
        for held in self.store.rows():
            key = (int(held["request_id"], 16), held["attempt"])
            if key in self.maybe:
                self.sure[key] = self.maybe[key]
        self.maybe = {}
        self.in_journal = []

    @invariant()
    def holds_what_it_must_once(self):
        if self.store is None or self.store._journal is not None:
            return
        index = self.store.index()
        keys = list(zip(index.key.tolist(), index.attempt.tolist(), strict=True))
        assert sorted(keys) == sorted(self.sure)
        texts = [text for table in self.store.tables(index) for text in table["text"].to_pylist()]
        assert dict(zip(keys, texts, strict=True)) == self.sure
        assert np.unique(index.shard).size <= len(self.store._shards)

    def teardown(self):
        if self.store is not None:
            self.die()
        self.patch.undo()
        shutil.rmtree(self.folder)


StoreModel.TestCase.settings = settings(
    max_examples=30, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
TestStoreModel = StoreModel.TestCase
