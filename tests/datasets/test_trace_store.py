"""The trace store: what was appended is there, torn lines cost no more than themselves."""

import logging

import pytest
from kedro.io import DatasetError

from forkpipe.datasets.trace_store import TraceStore, TraceStoreDataset


def rows(*ids, attempt=0):
    return [{"request_id": one, "attempt": attempt, "text": f"text of {one}\nwith lines"} for one in ids]


def test_rows_come_back_in_order_and_the_last_attempt_counts(tmp_path):
    store = TraceStore(tmp_path / "deep" / "store.jsonl")
    assert store.last_attempts() == {}
    store.append(rows("a", "b"))
    store.append(rows("a", attempt=1))
    assert [(row["request_id"], row["attempt"]) for row in store.rows()] == [("a", 0), ("b", 0), ("a", 1)]
    assert store.last_attempts()["a"]["attempt"] == 1


def test_a_torn_last_line_is_named_and_the_next_append_is_whole(tmp_path, caplog):
    path = tmp_path / "store.jsonl"
    store = TraceStore(path)
    store.append(rows("a", "b"))
    path.write_bytes(path.read_bytes()[:-20])
    store.append(rows("c"))
    with caplog.at_level(logging.WARNING, logger="forkpipe"):
        assert set(store.last_attempts()) == {"a", "c"}
    assert "store.jsonl line 2 is torn" in caplog.text


def test_lone_surrogates_survive(tmp_path):
    store = TraceStore(tmp_path / "store.jsonl")
    store.append([{"request_id": "a", "attempt": 0, "text": "\ud800 \x00"}])
    assert store.last_attempts()["a"]["text"] == "\ud800 \x00"


def test_it_is_an_input_only(tmp_path):
    data = TraceStoreDataset(filepath=str(tmp_path / "store.jsonl"))
    assert data.exists()
    with pytest.raises(DatasetError, match="appended through the store"):
        data.save(TraceStore(tmp_path / "x"))
