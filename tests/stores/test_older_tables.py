"""Files of an older schema version: what is read, what is refused, and real files that version 0.1 wrote."""

import dataclasses
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkpipe.core.errors import InputError
from forkpipe.core.records import Request, Sampling
from forkpipe.core.schemas import RENAMED, SCHEMAS, schema_version
from forkpipe.datasets.table import TableDataset
from forkpipe.stores.completions import CompletionStore
from forkpipe.stores.tables import read_table, write_table
from forkpipe.stores.trace_store import TraceStore, shards

WRITTEN_BY_0_1 = Path(__file__).parents[1] / "data/written_by_0_1"


def values(kind: pa.DataType) -> st.SearchStrategy:
    """Return values of a column's type."""
    if pa.types.is_list(kind):
        return st.lists(values(kind.value_type), max_size=3)
    if pa.types.is_struct(kind):
        return st.fixed_dictionaries({field.name: values(field.type) for field in kind})
    return {
        pa.string(): st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
        pa.int64(): st.integers(-(2**63), 2**63 - 1),
        pa.float64(): st.floats(allow_nan=False),
        pa.bool_(): st.booleans(),
    }[kind]


@st.composite
def older_files(draw):
    """Draw (name, rows, columns that the file lacks, columns that it has under their former name)."""
    name = draw(st.sampled_from(sorted(SCHEMAS)))
    schema = SCHEMAS[name]
    columns = {f.name: st.none() | values(f.type) if f.nullable else values(f.type) for f in schema}
    rows = draw(st.lists(st.fixed_dictionaries(columns), max_size=4))
    lacking = draw(st.sets(st.sampled_from(schema.names), max_size=3))
    former = {now: before for now, before in RENAMED.get(name, {}).items() if draw(st.booleans())}
    return name, rows, lacking, former


@settings(max_examples=150, deadline=None)
@given(older_files())
def test_an_older_file_is_read_unless_it_lacks_a_required_column(tmp_path_factory, drawn):
    name, rows, lacking, former = drawn
    path = str(tmp_path_factory.mktemp("older") / "older.parquet")
    write_table(path, name, rows)
    table = pq.read_table(path).drop_columns(sorted(lacking))
    older = {**table.schema.metadata, b"forkpipe.schema_version": b"1"}
    table = table.rename_columns([former.get(column, column) for column in table.schema.names])
    pq.write_table(table.replace_schema_metadata(older), path)
    required = [field.name for field in SCHEMAS[name] if field.name in lacking and not field.nullable]
    if required:
        with pytest.raises(InputError) as refused:
            read_table(path, name)
        assert str(refused.value).startswith(f"{path}: schema version 1 of table {name}, expected ")
        assert f"column '{required[0]}' is missing" in str(refused.value)
        assert "\n" not in str(refused.value)
    else:
        read = read_table(path, name)
        assert read.schema.equals(SCHEMAS[name], check_metadata=True)
        assert read.to_pylist() == [{k: None if k in lacking else v for k, v in row.items()} for row in rows]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.field("score", pa.string(), nullable=False), "column 'score' is string not null, expected double not null"),
        (pa.field("score", pa.float64()), "column 'score' is double, expected double not null"),
    ],
)
def test_a_column_of_another_type_is_not_misread(tmp_path, column, message):
    path = str(tmp_path / "t.parquet")
    declared = SCHEMAS["overlaps"]
    fields = [column if field.name == "score" else field for field in declared]
    pq.write_table(pa.schema(fields, declared.metadata).empty_table(), path)
    with pytest.raises(InputError, match=message):
        read_table(path, "overlaps")


@pytest.mark.parametrize("version", [None, b"99", b"one"])
def test_an_unknown_version_is_refused(tmp_path, version):
    path = str(tmp_path / "t.parquet")
    metadata = {b"forkpipe.schema_version": version} if version else None
    pq.write_table(SCHEMAS["overlaps"].with_metadata(metadata).empty_table(), path)
    with pytest.raises(InputError, match=r"of table overlaps, expected 1: it was written by another version"):
        read_table(path, "overlaps")


def test_a_struct_may_lack_a_field_that_may_be_null(tmp_path, monkeypatch):
    path = str(tmp_path / "t.parquet")
    trace = {"trace_id": "t", "teacher": "a", "text": "3 9", "strategy": 0, "tokens": 2}
    row = dict.fromkeys(("problem_id", "problem", "answer", "source", "split"), "x")
    write_table(path, "trace_sets", [{**row, "traces": [trace]}])
    schema = SCHEMAS["trace_sets"]
    index = schema.get_field_index("traces")
    trace_type = schema.field(index).type.value_type
    longer = pa.struct([*list(trace_type)[::-1], pa.field("grade", pa.float64())])

    def read_as(element):
        traces = pa.field("traces", pa.list_(pa.field("element", element, nullable=False)), nullable=False)
        monkeypatch.setitem(SCHEMAS, "trace_sets", schema.set(index, traces))
        return read_table(path, "trace_sets")["traces"].to_pylist()

    assert read_as(longer) == [[{**trace, "grade": None}]]
    assert read_as(pa.struct(list(trace_type)[1:])) == [[{k: v for k, v in trace.items() if k != "trace_id"}]]
    for other in (pa.string(), pa.struct([*trace_type, pa.field("grade", pa.float64(), nullable=False)])):
        with pytest.raises(InputError, match="column 'traces' is list"):
            read_as(other)


@pytest.mark.parametrize("name", ["generations", "scores", "training_log"])
def test_tables_that_version_0_1_wrote_are_read(name):
    path = WRITTEN_BY_0_1 / f"{name}.parquet"
    stored = pq.read_table(path)  # as pyarrow reads it, whatever the schema
    read = TableDataset(filepath=str(path), table=name).load()
    assert read.schema.equals(SCHEMAS[name], check_metadata=True)
    former = {before: now for now, before in RENAMED.get(name, {}).items()}
    newer = dict.fromkeys(field.name for field in SCHEMAS[name] if field.nullable)
    expected = [
        newer | {former.get(column, column): value for column, value in row.items()} for row in stored.to_pylist()
    ]
    assert read.to_pylist() == expected
    assert len(expected) == (3 if name == "training_log" else 10)
    if name != "training_log":
        assert read["policy"].to_pylist() == ["by_tag"] * 7 + ["own"] * 3


def test_an_old_table_keeps_its_content_digest_and_has_a_preview():
    data = TableDataset(filepath=str(WRITTEN_BY_0_1 / "generations.parquet"), table="generations")
    assert data.content_digest() == "4a95761545b80d1b"  # what version 0.1 computed
    preview = data.preview(nrows=2)
    assert preview["columns"] == SCHEMAS["generations"].names
    assert [row[preview["columns"].index("policy")] for row in preview["data"]] == ["by_tag", "by_tag"]


@pytest.fixture
def old_store(tmp_path):
    """A store that version 0.1 left: a shard of eight answers, and the journal of a killed run with four."""
    folder = tmp_path / "trace_store"
    shutil.copytree(WRITTEN_BY_0_1 / "trace_store", folder)
    return folder


def stored_answers():
    """Return the rows of that store, read without it."""
    folder = WRITTEN_BY_0_1 / "trace_store"
    lines = (folder / "journal-000002.jsonl").read_text().splitlines()
    rows = pq.read_table(folder / "shard-000001.parquet").to_pylist() + [json.loads(line) for line in lines]
    assert len(rows) == 12
    return sorted(rows, key=lambda row: row["request_id"])


def held(folder):
    with TraceStore(folder) as store:
        return sorted(store.rows(), key=lambda row: row["request_id"])


def test_a_store_that_version_0_1_wrote_is_read(old_store):
    assert held(old_store) == stored_answers()


def declare(monkeypatch, schema, version):
    """Let `traces` have another schema, as a change of `core.schemas` would."""
    schema = schema.with_metadata({**SCHEMAS["traces"].metadata, b"forkpipe.schema_version": str(version).encode()})
    monkeypatch.setitem(SCHEMAS, "traces", schema)
    monkeypatch.setattr(shards, "SCHEMA", schema)


def test_a_new_column_of_traces_refuses_no_paid_answer(old_store, monkeypatch):
    newer = SCHEMAS["traces"].insert(3, pa.field("logprob", pa.float64()))
    declare(monkeypatch, newer, schema_version("traces") + 1)
    before = stored_answers()
    assert held(old_store) == [{**row, "logprob": None} for row in before]
    with TraceStore(old_store) as store:  # answers of both versions lie side by side
        store.append({**before[0], "request_id": "f" * 16, "logprob": -0.5})
    assert [row["logprob"] for row in held(old_store)] == [None] * 12 + [-0.5]
    with TraceStore(old_store) as store:  # merging and dropping rewrite old rows
        index = store.index()
        store.drop(index.take(index.key == int(before[0]["request_id"], 16)))
    assert len(held(old_store)) == 12
    assert not (old_store / "set_aside").exists()


def test_a_renamed_column_of_traces_is_read_from_shard_and_journal(old_store, monkeypatch):
    schema = SCHEMAS["traces"]
    newer = [f.with_name({"seconds": "duration", "text": "response"}.get(f.name, f.name)) for f in schema]
    declare(monkeypatch, pa.schema(newer), 2)
    monkeypatch.setitem(RENAMED, "traces", {"duration": "seconds", "response": "text"})
    assert [row["response"] for row in stored_under_new_names(old_store)] == [row["text"] for row in stored_answers()]


def stored_under_new_names(folder):
    with TraceStore(folder) as store:
        store._recover()
        paths = sorted(folder.glob("shard-*.parquet"))
        rows = [row for path in paths for table in shards.read_all(path) for row in table.to_pylist()]
    return sorted(rows, key=lambda row: row["request_id"])


def test_a_new_required_column_of_traces_is_refused_and_keeps_the_answers(old_store, monkeypatch):
    declare(monkeypatch, SCHEMAS["traces"].insert(3, pa.field("logprob", pa.float64(), nullable=False)), 2)
    with (
        pytest.raises(InputError, match=r"shard-000001.parquet: schema version 1 of .* column 'logprob' is missing"),
        TraceStore(old_store),
    ):
        pass
    assert (old_store / "shard-000001.parquet").exists()
    assert not (old_store / "set_aside").exists()


def test_rollouts_that_version_0_1_wrote_are_found():
    path = WRITTEN_BY_0_1 / "rollouts.jsonl"
    rows = {row["request_id"]: row for row in map(json.loads, path.read_text().splitlines())}
    completions = CompletionStore(path).of(Request(name, "p", "", "", 0, 0, Sampling()) for name in rows)
    assert len(completions) == 4
    for request_id, row in rows.items():
        assert json.loads(json.dumps(dataclasses.asdict(completions[request_id]))) == row
