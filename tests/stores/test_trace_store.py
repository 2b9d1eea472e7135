"""The trace store: what was appended is there, in whatever order it is asked for; one writer at a time."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pytest
from kedro.io import DatasetError
from trace_rows import fill, held, names, row

from forkpipe.core.errors import InputError
from forkpipe.datasets.trace_store import TraceStoreDataset
from forkpipe.stores.trace_store import TraceStore, journal, shards, store
from forkpipe.stores.trace_store.index import keys_of


def test_rows_come_back_as_they_were(tmp_path):
    path = tmp_path / "deep" / "store"
    assert held(path) == []
    fill(path, 1, 2)
    fill(path, 1, attempt=1)
    assert names(path) == ["shard-000001.parquet", "shard-000002.parquet"]
    with TraceStore(path) as opened:
        rows = {(one["request_id"], one["attempt"]): one for one in opened.rows()}
    assert rows == {(one["request_id"], one["attempt"]): one for one in (row(1), row(2), row(1, 1))}


def test_the_index_holds_numbers_and_no_texts(tmp_path):
    fill(tmp_path / "s", 1, tokens_out=7)
    fill(tmp_path / "s", 2, finish_reason="error", status="failed", error="timeout: none in 600 s")
    with TraceStore(tmp_path / "s") as opened:
        index = opened.index()
        assert index.key.tolist() == [1, 2]
        assert index.tokens_out.tolist() == [7, 5]
        assert index.limit.tolist() == [10, 10]
        assert index.failed.tolist() == [False, True]
        assert [opened.kinds[code] for code in index.kind] == ["", "timeout"]
        assert [table["text"].to_pylist() for table in opened.tables(index.take(np.array([1, 0])))] == [
            ["text of 2\nwith lines", "text of 1\nwith lines"]
        ]


def test_ids_are_numbers_of_sixteen_digits():
    assert keys_of(pa.array(["00000000000000ff", "ffffffffffffffff"])).tolist() == [255, 2**64 - 1]
    for wrong in (["ff"], ["00000000000000ff0", "00000000000000f"], ["00000000000000fg"]):
        with pytest.raises(ValueError):
            keys_of(pa.array(wrong))


def test_a_full_journal_becomes_a_shard_and_rows_of_both_are_read(tmp_path):
    with TraceStore(tmp_path / "s", journal_bytes=2000) as opened:
        for number in range(10):
            opened.append(row(number))
        assert len([name for name in names(tmp_path / "s") if name.startswith("shard")]) > 1
        assert opened.index().key.tolist() == list(range(10))
    assert held(tmp_path / "s") == [(number, 0) for number in range(10)]


def test_texts_come_in_the_order_that_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "GROUP_ROWS", 3)
    monkeypatch.setattr(store, "READ_BYTES", 1)
    with TraceStore(tmp_path / "s", journal_bytes=4000) as opened:
        for number in range(40):
            opened.append(row(number))
        order = np.random.default_rng(0).permutation(40)
        index = opened.index()
        tables = list(opened.tables(index.take(order)))
        assert len(tables) > 5
        found = [text for table in tables for text in table["problem_id"].to_pylist()]
        assert found == [f"p{index.key[one]}" for one in order]


def test_an_earlier_store_is_taken_over(tmp_path):
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(row(n)) + "\n" for n in range(3)) + '{"torn')
    assert held(tmp_path / "s") == [(0, 0), (1, 0), (2, 0)]
    assert not (tmp_path / "s.jsonl").exists()
    assert held(tmp_path / "s") == [(0, 0), (1, 0), (2, 0)]


def test_a_file_in_the_place_of_the_store_is_refused(tmp_path):
    (tmp_path / "s.jsonl").write_text("")
    with pytest.raises(InputError, match=r"s\.jsonl is a file, expected a folder"), TraceStore(tmp_path / "s.jsonl"):
        pass


def test_rows_are_dropped_for_good(tmp_path):
    fill(tmp_path / "s", 1, 2, 3)
    fill(tmp_path / "s", 4)
    with TraceStore(tmp_path / "s") as opened:
        index = opened.index()
        opened.drop(index.take(np.isin(index.key, [2, 4])))
        assert sorted(opened.index().key.tolist()) == [1, 3]
    assert held(tmp_path / "s") == [(1, 0), (3, 0)]
    assert names(tmp_path / "s") == ["shard-000003.parquet"]


def test_it_is_used_within_a_with_block_only(tmp_path):
    with pytest.raises(RuntimeError, match="is not open"):
        TraceStore(tmp_path / "s").append(row(1))


OWNER = """
import sys, time
from pathlib import Path
from forkpipe.stores.trace_store.lock import FolderLock
lock = FolderLock(Path(sys.argv[1]), "trace store x")
lock.acquire()
if sys.argv[2] == "fork":
    import os
    if os.fork() == 0:
        time.sleep(60)
print("held", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("how", ["alone", "fork"])
def test_a_second_writer_is_refused_and_a_dead_owner_blocks_nobody(tmp_path, how):
    """Also where the dead owner has forked a child that lives on."""
    path = tmp_path / "s"
    path.mkdir()
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(path / "lock"), how], stdout=subprocess.PIPE, text=True, process_group=0
    )
    try:
        assert owner.stdout.readline() == "held\n"
        with pytest.raises(InputError) as caught, TraceStore(path):
            pass
        assert f"process {owner.pid} on " in str(caught.value)
        assert f" since {time.strftime('%Y-')}" in str(caught.value)
        assert "\n" not in str(caught.value)
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
        assert held(path) == []
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(owner.pid, signal.SIGKILL)
        owner.stdout.close()


def test_a_lock_file_without_an_owner_blocks_nobody(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s/lock").write_text('{"pid": 1, "host": "h", "since": "then"}')
    assert held(tmp_path / "s") == []


def test_a_failed_append_leaves_no_half_line(tmp_path, monkeypatch):
    path = tmp_path / "s"
    with TraceStore(path) as opened:
        opened.append(row(1))
        real = os.write

        def full(fd, data):
            real(fd, data[:20])
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(journal.os, "write", full)
            with pytest.raises(OSError, match="No space"):
                opened.append(row(2))
        opened.append(row(3))
    assert held(path) == [(1, 0), (3, 0)]
    assert names(path) == ["shard-000001.parquet"]


def test_it_syncs_every_so_many_rows(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(journal.os, "fsync", synced.append)
    monkeypatch.setattr(journal, "SYNC_SECONDS", 3600)
    opened = journal.Journal(tmp_path / "journal-000001.jsonl")
    before = len(synced)
    for number in range(2 * journal.SYNC_ROWS + 5):
        opened.append(row(number))
    assert len(synced) - before == 2
    opened.close()
    assert len(synced) - before == 3


def test_it_syncs_rows_that_nothing_follows(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "SYNC_SECONDS", 0.01)
    opened = journal.Journal(tmp_path / "journal-000001.jsonl")
    opened.append(row(1))
    end = time.monotonic() + 20
    while opened._unsynced and time.monotonic() < end:
        time.sleep(0.01)
    assert opened._unsynced == 0
    opened.close()


def test_it_is_an_input_only(tmp_path):
    data = TraceStoreDataset(filepath=str(tmp_path / "store"))
    assert data.exists()
    with pytest.raises(DatasetError, match="appended through the store"):
        data.save(TraceStore(tmp_path / "x"))
