"""Rows come back as they were written; what is wrong is named by file and row."""

import csv
import gzip
import json
import math
import pickle
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kedro.io import DatasetError

from forkpipe.core.errors import InputError
from forkpipe.core.read_rows import read_rows
from forkpipe.datasets.records import RawRecords, RecordsDataset
from forkpipe.parameters import ProblemSettings, VerificationSettings
from forkpipe.problems.raw_rows import normalise_problems

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
ROWS = st.lists(st.dictionaries(st.text(max_size=6), VALUES, max_size=4), min_size=1, max_size=6)

on_one_file = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _write_jsonl(path, rows):
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
@on_one_file
@given(rows=ROWS)
def test_json_rows_come_back_as_they_were(tmp_path, name, rows):
    path = tmp_path / name
    _write_jsonl(path, rows)
    loaded = RecordsDataset(str(path)).load()
    assert json.dumps(loaded) == json.dumps(rows)  # tells 1 from True and 1.0, which == does not
    assert loaded.source == str(path)


@on_one_file
@given(
    cells=st.lists(
        st.lists(
            st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=6),
            min_size=2,
            max_size=2,
        ),
        min_size=1,
        max_size=5,
    )
)
def test_csv_cells_are_text_as_they_were(tmp_path, cells):
    path = tmp_path / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["problem", "answer"], *cells])
    assert RecordsDataset(str(path)).load() == [dict(zip(("problem", "answer"), row, strict=True)) for row in cells]


@on_one_file
@given(
    rows=st.lists(
        st.fixed_dictionaries({"n": st.integers(-(2**63), 2**63 - 1), "t": st.text(max_size=5) | st.none()}), min_size=1
    )
)
def test_parquet_rows_come_back_as_they_were(tmp_path, rows):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows, pa.schema({"n": pa.int64(), "t": pa.string()})), path)
    assert RecordsDataset(str(path)).load() == rows


def test_numbers_in_csv_stay_text_and_long_cells_are_read(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("answer,trace\n007," + "x" * 200_000 + "\n")
    assert RecordsDataset(str(path)).load() == [{"answer": "007", "trace": "x" * 200_000}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"x": 1}\n\n{"x": \n', r"a.jsonl line 3: not JSON: Expecting value"),
        ("a.jsonl", b'{"x": 1}\n[1]\n', r"a.jsonl line 2: is list, expected a JSON object"),
        ("a.jsonl", b'{"x": "\xff"}\n', r"a.jsonl line 1: not UTF-8: "),
        ("a.jsonl", b'{"x": "\\ud800"}\n', r"a.jsonl line 1: not UTF-8: "),
        ("a.jsonl", b"[" * 100_000, r"a.jsonl line 1: not JSON: "),
        ("a.jsonl", b'{"x": ' + b"1" * 5000 + b"}", r"a.jsonl line 1: not JSON: "),
        ("a.jsonl", b"\n \n", r"a.jsonl: has no rows"),
        ("a.jsonl.gz", b'{"x": 1}\n', r"a.jsonl.gz: cannot be read: Not a gzipped file"),
        ("a.jsonl.gz", gzip.compress(b'{"x": 1}\n' * 99)[:-12], r"a.jsonl.gz: cannot be read: "),
        ("a.parquet", b"x", r"a.parquet: not Parquet: "),
        ("a.csv", b"", r"a.csv: has no rows"),
        ("a.csv", b"x,y\n", r"a.csv: has no rows"),
        ("a.csv", b"x,y\n1,2\n1\n", r"a.csv row 2: has 1 cells, expected 2 as in the header"),
        ("a.csv", b'x,y\n1,"2\n', r"a.csv row 1: not CSV: "),
        ("a.csv", b"x,y\n1,\xff\n", r"a.csv row 1: not UTF-8: "),
        ("a.csv", b"x,x\n1,2\n", r"a.csv: column 'x' is there twice"),
        ("a.json", b"[]", r"a.json: unknown format, expected a name that ends in one of: .jsonl, "),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        RecordsDataset(str(path)).load()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert isinstance(caught.value, DatasetError)  # else Kedro would wrap it


def test_a_missing_file_and_an_unknown_protocol_are_named(tmp_path):
    assert not RecordsDataset(str(tmp_path / "none.csv")).exists()
    with pytest.raises(InputError, match=r"none.csv: no such file"):
        RecordsDataset(str(tmp_path / "none.csv")).load()
    with pytest.raises(InputError, match=r"nosuch://a.csv: cannot be opened: "):
        RecordsDataset("nosuch://a.csv").load()


def test_a_directory_is_no_file(tmp_path):
    (tmp_path / "d.parquet").mkdir()
    with pytest.raises(InputError, match="no such file"):
        RecordsDataset(str(tmp_path / "d.parquet")).load()


def test_a_byte_order_mark_is_passed_over(tmp_path):
    for name, content in (("a.jsonl", '{"x": "1"}'), ("a.csv", "x\n1\n")):
        (tmp_path / name).write_text(content, encoding="utf-8-sig")
        assert RecordsDataset(str(tmp_path / name)).load() == [{"x": "1"}]


def test_remote_paths_are_read():
    import fsspec

    with fsspec.open("memory://forkpipe/rows.jsonl.gz", "wb", compression="gzip") as file:
        file.write(b'{"x": 1}\n')
    dataset = RecordsDataset("memory://forkpipe/rows.jsonl.gz")
    assert dataset.exists()
    assert dataset.load() == [{"x": 1}]


def test_saving_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="is read-only"):
        RecordsDataset(str(tmp_path / "a.csv")).save(RawRecords([], "a.csv"))


def test_a_preview_is_json_and_reads_no_further_than_it_shows(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"x": NaN, "y": {"z": [1]}}\n{"w": "a"}\nno JSON\n')
    preview = RecordsDataset(str(path)).preview(nrows=2)
    assert preview == {
        "index": [0, 1],
        "columns": ["x", "y", "w"],
        "data": [[None, {"z": [1]}, None], [None, None, "a"]],
    }
    json.dumps(preview, allow_nan=False)


def test_a_preview_of_parquet_types_is_json(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"b": [b"\xff"], "d": pa.array([0], pa.date32()), "f": [math.inf]}), path)
    json.dumps(RecordsDataset(str(path)).preview(), allow_nan=False)


def test_reading_is_lazy(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"x": 1}\nno JSON\n')
    assert next(read_rows(str(path))) == (1, {"x": 1})


def test_records_keep_their_source_when_copied(tmp_path):
    records = RawRecords([{"x": 1}], "a.csv")
    copied = pickle.loads(pickle.dumps(records))
    assert copied == records
    assert copied.source == "a.csv"


def test_reading_rows_needs_neither_kedro_nor_pandas():
    code = "import sys, forkpipe.core.read_rows; print({'kedro', 'pandas', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


LATIN = pa.array([b"fine", b"caf\xe9"], pa.binary()).view(pa.string())
FAR = 253402300800_000  # milliseconds from 1970 to the year 10000, one more than Python's dates hold


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (LATIN, ["fine", b"caf\xe9"]),
        (LATIN.cast(pa.large_string(), safe=False), ["fine", b"caf\xe9"]),
        (LATIN.dictionary_encode(), ["fine", b"caf\xe9"]),
        (
            pa.StructArray.from_arrays([LATIN, pa.array([1, 2])], ["s", "n"]),
            [{"s": "fine", "n": 1}, {"s": b"caf\xe9", "n": 2}],
        ),
        (pa.ListArray.from_arrays([0, 2, 2], LATIN), [["fine", b"caf\xe9"], []]),
        (pa.array([None, FAR], pa.timestamp("ms")), [None, "10000-01-01 00:00:00.000"]),
        (
            pa.array([0, FAR], pa.timestamp("ms", "Nowhere/Else")),
            ["1970-01-01 00:00:00.000Z", "10000-01-01 00:00:00.000Z"],
        ),
        (pa.array([None, 2**62], pa.duration("s")), [None, "4611686018427387904"]),
    ],
)
def test_parquet_values_that_python_cannot_hold_do_no_harm_where_nobody_reads_them(tmp_path, column, expected):
    path = tmp_path / "a.parquet"
    with pq.ParquetWriter(path, pa.schema([("problem", pa.string()), ("other", column.type)])) as writer:
        writer.write_table(pa.table({"problem": ["x", "y"], "other": column}, schema=writer.schema))
    assert [row for _, row in read_rows(str(path))] == [
        {"problem": "x", "other": expected[0]},
        {"problem": "y", "other": expected[1]},
    ]
    RecordsDataset(str(path)).preview()


def test_text_that_is_no_utf8_is_named_where_it_is_read(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"problem": LATIN, "answer": ["1", "2"]}), path)
    settings = ProblemSettings(source="demo", shares={"train": 1.0})
    with pytest.raises(InputError, match=r"a\.parquet row 2: field 'problem' is NotUTF8, expected text"):
        normalise_problems(RecordsDataset(str(path)).load(), settings, VerificationSettings())
    pq.write_table(pa.table({"problem": ["x", "y"], "answer": ["1", "2"], "note": LATIN}), path)
    kept, _ = normalise_problems(RecordsDataset(str(path)).load(), settings, VerificationSettings())
    assert [row["metadata"] for row in kept] == ['{"note": "fine"}', r"""{"note": "b'caf\\xe9'"}"""]
