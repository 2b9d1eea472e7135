"""A damaged trace store: what is torn, foreign or doubled costs no more than itself."""

import json
import logging

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from trace_rows import fill, held, leave_journal, names, row

from forkpipe.core.errors import InputError
from forkpipe.stores.trace_store import TraceStore, folder, shards


def test_an_interrupted_journal_is_taken_in(tmp_path):
    leave_journal(tmp_path / "s", 1, 2)
    assert held(tmp_path / "s") == [(1, 0), (2, 0)]
    assert names(tmp_path / "s") == ["shard-000009.parquet"]


def test_torn_and_foreign_lines_are_set_aside_and_named(tmp_path, caplog):
    left = leave_journal(tmp_path / "s", 1, 2)
    with left.open("a") as file:
        file.write('{"a": 1}\n[3]\n' + json.dumps({**row(4), "tokens_in": "two"}) + "\n" + json.dumps(row(3))[:-9])
    with caplog.at_level(logging.WARNING, logger="forkpipe"):
        assert held(tmp_path / "s") == [(1, 0), (2, 0)]
    for said in ("line 3 is torn", "line 4 is torn", "line 6 is torn", "column 'tokens_in' is 'two'"):
        assert said in caplog.text
    assert len((tmp_path / "s/set_aside/journal-000009.jsonl.torn").read_text().splitlines()) == 4


def test_a_crash_between_shard_and_journal_leaves_nothing_twice(tmp_path):
    left = leave_journal(tmp_path / "s", 1, 2)
    kept = left.read_bytes()
    assert held(tmp_path / "s") == [(1, 0), (2, 0)]
    left.write_bytes(kept)  # the shard is there, the journal is not gone
    (tmp_path / "s/shard-000010.parquet.tmp").write_bytes(b"half")
    assert held(tmp_path / "s") == [(1, 0), (2, 0)]
    assert names(tmp_path / "s") == ["shard-000009.parquet"]


def test_small_shards_are_merged(tmp_path):
    for number in range(folder.MERGE_AT + 2):
        fill(tmp_path / "s", number)
    assert held(tmp_path / "s") == [(number, 0) for number in range(folder.MERGE_AT + 2)]
    assert len(names(tmp_path / "s")) < 5


def spoil_footer(path):
    path.write_bytes(path.read_bytes()[:-10])


def spoil_page(path):
    """Flip a bit of the numbers that every scan reads."""
    column = pq.read_metadata(path).row_group(0).column(1)
    data = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    for place in range(start, start + column.total_compressed_size):
        data[place] ^= 0xFF
    path.write_bytes(data)


def other_schema(path):
    pq.write_table(pa.table({"a": [1]}), path)


@pytest.mark.parametrize("spoil", [spoil_footer, spoil_page, other_schema])
def test_a_shard_that_cannot_be_read_is_set_aside_and_the_rest_stays(tmp_path, caplog, spoil):
    fill(tmp_path / "s", 1)
    fill(tmp_path / "s", 2)
    spoil(tmp_path / "s/shard-000001.parquet")
    with caplog.at_level(logging.WARNING, logger="forkpipe"):
        assert held(tmp_path / "s") == [(2, 0)]
    assert "shard-000001.parquet" in caplog.text
    assert names(tmp_path / "s") == ["set_aside", "shard-000002.parquet"]
    assert (tmp_path / "s/set_aside/shard-000001.parquet").exists()


def test_texts_that_cannot_be_read_are_said_and_asked_again(tmp_path):
    fill(tmp_path / "s", 1)
    path = tmp_path / "s/shard-000001.parquet"
    text = pq.read_metadata(path).row_group(0).column(shards.SCHEMA.get_field_index("text"))
    data = bytearray(path.read_bytes())
    data[text.data_page_offset : text.data_page_offset + text.total_compressed_size] = bytes(text.total_compressed_size)
    path.write_bytes(data)
    with (
        pytest.raises(InputError, match=r"shard-000001.parquet cannot be read: run again"),
        TraceStore(tmp_path / "s") as opened,
    ):
        list(opened.rows())
    assert held(tmp_path / "s") == []


def test_a_shard_of_another_version_is_refused_not_asked_again(tmp_path):
    fill(tmp_path / "s", 1)
    path = tmp_path / "s/shard-000001.parquet"
    table = pq.read_table(path)
    newer = {**table.schema.metadata, b"forkpipe.schema_version": b"99"}
    pq.write_table(table.replace_schema_metadata(newer), path)
    with pytest.raises(InputError, match=r"schema version 99 of table traces, expected 1"), TraceStore(tmp_path / "s"):
        pass
    assert path.exists()


def test_strays_are_set_aside(tmp_path, caplog):
    fill(tmp_path / "s", 1)
    (tmp_path / "s/notes.txt").write_text("mine")
    (tmp_path / "s/folder").mkdir()
    (tmp_path / "s/.nfs1").write_text("the file system's")
    for _ in range(2):
        (tmp_path / "s/notes.txt").write_text("mine")
        assert held(tmp_path / "s") == [(1, 0)]
    assert "notes.txt: it is no file of the store" in caplog.text
    assert names(tmp_path / "s/set_aside") == ["folder", "notes.txt", "notes.txt.1"]


def test_a_shard_can_only_replace_files_of_the_store(tmp_path):
    fill(tmp_path / "s", 1)
    (tmp_path / "mine.txt").write_text("mine")
    with TraceStore(tmp_path / "s") as opened:
        table = next(opened.tables(opened.index()))
    shards.write_shard(tmp_path / "s/shard-000002.parquet", [table], ["../mine.txt", "lock"])
    assert held(tmp_path / "s") == [(1, 0)]
    assert (tmp_path / "mine.txt").exists()


def test_lone_surrogates_are_replaced_and_said(tmp_path, caplog):
    fill(tmp_path / "s", 1, text="a \ud800 b \U0001f600 \x00")
    with TraceStore(tmp_path / "s") as opened:
        assert next(opened.rows())["text"] == "a � b \U0001f600 \x00"
    assert "request 0000000000000001: what is no Unicode" in caplog.text
