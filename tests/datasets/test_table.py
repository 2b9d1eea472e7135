"""The table dataset: the declared schema is enforced, previews are JSON-safe, other libraries can read it."""

import json
import random
import string

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkpipe.core.schemas import SCHEMAS, schema_version
from forkpipe.datasets.table import TableDataset
from forkpipe.stores import run_id, tables
from forkpipe.stores.tables import to_table

ROW = {"stage": "problems", "id": "p1", "reason": "duplicate", "detail": "of p0"}
SET = {
    "problem_id": "p",
    "problem": "3 ^ 5 mod 17",
    "answer": "5",
    "source": "s",
    "split": "train",
    "traces": [{"trace_id": "t", "teacher": "a", "text": "3 9", "strategy": 0, "tokens": 2}],
}


def dataset(tmp_path, table="rejected"):
    return TableDataset(filepath=str(tmp_path / "deep" / "table.parquet"), table=table)


def test_saved_rows_carry_the_run_and_the_schema(tmp_path):
    run_id.begin("run-7")
    data = dataset(tmp_path)
    data.save([ROW])
    table = data.load()
    assert table.to_pylist() == [{**ROW, "run_id": "run-7"}]
    assert table.schema.equals(SCHEMAS["rejected"], check_metadata=True)


def test_an_empty_table_keeps_its_types(tmp_path):
    data = dataset(tmp_path, "metrics")
    data.save([])
    assert data.load().schema.equals(SCHEMAS["metrics"])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**ROW, "reason": None}, "row 1: column 'reason' has no value, expected string"),
        ({key: value for key, value in ROW.items() if key != "id"}, "row 1: column 'id' has no value"),
        ({**ROW, "id": 7}, "row 1: column 'id' is '7', expected string"),
        ({**ROW, "why": "x"}, r"row 1: columns \['why'\] are not in its schema"),
    ],
)
def test_rows_that_do_not_fit_are_named(row, message):
    with pytest.raises(ValueError, match=message):
        to_table([ROW, row], "rejected", "r")


def test_another_schema_version_is_not_misread(tmp_path):
    data = dataset(tmp_path)
    data.save([ROW])
    path = data._filepath
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"forkpipe.schema_version": "99"}), path)
    with pytest.raises(Exception, match=f"schema version 99 of table rejected, expected {schema_version('rejected')}"):
        data.load()


@pytest.mark.parametrize("row_groups", [1, 5])
def test_texts_within_lists_are_read_in_batches_of_bytes(tmp_path, monkeypatch, row_groups):
    """Arrow cannot decode 2 GiB of such texts at once. Here the bound is 64 KiB, and no array passes it."""
    bound = 64 * 1024
    monkeypatch.setattr(tables, "BATCH_BYTES", bound)
    letters = string.ascii_letters + string.digits
    draw = random.Random(0)
    texts = ["".join(draw.choices(letters, k=draw.randint(5_000, 7_000))) for _ in range(100)]
    rows = [{**SET, "problem_id": str(at), "traces": [{**SET["traces"][0], "text": t}]} for at, t in enumerate(texts)]
    data = dataset(tmp_path, "trace_sets")
    data.save(rows)
    if row_groups > 1:
        pq.write_table(pq.read_table(data._filepath), data._filepath, row_group_size=len(rows) // row_groups)
    assert pq.ParquetFile(data._filepath).num_row_groups == row_groups
    loaded = data.load()
    assert [trace["text"] for row in loaded.to_pylist() for trace in row["traces"]] == texts
    sizes = [chunk.nbytes for chunk in loaded.column("traces").chunks]
    assert len(sizes) >= sum(map(len, texts)) // bound
    assert max(sizes) <= 1.2 * bound, "rows are up to a sixth longer than their mean"


def test_preview_of_nested_columns_is_json(tmp_path):
    data = dataset(tmp_path, "trace_sets")
    data.save([SET] * 20)
    preview = data.preview(nrows=3)
    assert len(preview["data"]) == 3
    json.dumps(preview)


def test_datasets_reads_trace_sets(tmp_path):
    import datasets

    data = dataset(tmp_path, "trace_sets")
    data.save([SET, SET])
    loaded = datasets.load_dataset("parquet", data_files=data._filepath, cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded[0]["traces"][0]["text"] == "3 9"


def test_a_killed_save_leaves_the_old_file(tmp_path, monkeypatch):
    data = dataset(tmp_path)
    data.save([ROW])

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(pq.ParquetWriter, "write_table", killed)
    with pytest.raises(KeyboardInterrupt):
        data.save([ROW, ROW])
    assert data.load().num_rows == 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.fixed_dictionaries({name: st.text(st.characters(exclude_categories=["Cs"])) for name in ROW})))
def test_any_text_survives(rows):
    table = to_table(rows, "rejected", "r")
    assert [{name: row[name] for name in ROW} for row in table.to_pylist()] == rows


def test_a_table_without_schema_is_refused():
    with pytest.raises(ValueError, match="table 'nothing' has no schema"):
        TableDataset(filepath="x.parquet", table="nothing")


def test_every_table_ends_with_the_run_and_has_a_version():
    for name, schema in SCHEMAS.items():
        assert schema.names[-1] == "run_id"
        assert schema_version(name) >= 1
        assert isinstance(schema, pa.Schema)
