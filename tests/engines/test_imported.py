"""Traces of a file are handed out in file order, and what the file lacks is said."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forkpipe.core import file_digests
from forkpipe.core.engine import Engine
from forkpipe.core.errors import InputError
from forkpipe.core.ids import digest
from forkpipe.core.records import Request, Sampling
from forkpipe.engines.imported import ImportEngine

ROWS = [
    {"problem": "2 + 2", "text": "It is 4.", "teacher": "a", "correct": True},
    {"problem": "3 + 3", "text": "6", "teacher": "a", "correct": True},
    {"problem": " 2 +\n2 ", "text": "four", "teacher": "b", "correct": False},
]


def _request(problem: str, sample: int = 0, **options) -> Request:
    return Request.create(
        problem_id="p",
        problem=problem,
        asked_of="t",
        revision="1",
        prompt=f"Solve: {problem}",
        sample=sample,
        sampling=Sampling(max_tokens=1),
        **options,
    )


@pytest.fixture
def write(tmp_path):
    def _write(rows, name="traces.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return _write


def test_samples_of_a_problem_come_in_file_order(write):
    engine = ImportEngine(write(ROWS))
    assert isinstance(engine, Engine)
    requests = [_request("2 + 2", 1), _request("3 + 3"), _request("2  +  2", 0)]
    completions = list(engine.generate(requests))
    assert [one.text for one in completions] == ["four", "6", "It is 4."]
    assert [one.request_id for one in completions] == [one.request_id for one in requests]
    assert [one.tokens_out for one in completions] == [1, 1, 3]
    assert {(one.finish_reason, one.error, one.reasoning, one.tokens_in) for one in completions} == {
        ("stop", "", "", 4)
    }


def test_samples_held_counts_matching_rows(write):
    engine = ImportEngine(write(ROWS), where={"correct": True})
    assert [engine.samples_held(problem) for problem in ("2 + 2", "\t3 + 3", "4 + 4")] == [1, 1, 0]


def test_a_request_beyond_what_is_held_is_an_error(write):
    path = write(ROWS)
    (completion,) = ImportEngine(path).generate([_request("3 + 3", 1)])
    assert completion.finish_reason == "error"
    assert completion.error == f"{path} holds 1 samples of this problem, sample 2 was requested"


def test_fields_are_mapped(write):
    rows = [{"q": "x", "a": "b c", "why": "d", "end": "length", "n": 7}]
    fields = {"problem": "q", "text": "a", "reasoning": "why", "finish_reason": "end", "tokens": "n"}
    (completion,) = ImportEngine(write(rows), fields).generate([_request("x")])
    assert (completion.text, completion.reasoning, completion.finish_reason, completion.tokens_out) == (
        "b c",
        "d",
        "length",
        7,
    )


def test_own_names_are_read_without_being_mapped_and_null_is_not_given(write):
    rows = [
        {"problem": "x", "text": "b c", "reasoning": "d e", "finish_reason": "error", "tokens": None},
        {"problem": "x", "text": "b", "reasoning": None, "finish_reason": None},
    ]
    first, second = ImportEngine(write(rows)).generate([_request("x", 0), _request("x", 1)])
    assert (first.reasoning, first.tokens_out, first.finish_reason) == ("d e", 4, "error")
    assert first.error == "refused: recorded as failed in the file"
    assert (second.reasoning, second.tokens_out, second.finish_reason) == ("", 1, "stop")


def test_teachers_of_one_file_read_it_once_for_its_digest_and_again_when_it_changes(write, monkeypatch):
    read = []

    def counting(blocks):
        blocks = list(blocks)
        read.append(b"".join(blocks))
        return digest(blocks)

    monkeypatch.setattr(file_digests, "digest", counting)
    monkeypatch.setattr(file_digests, "_digests", {})
    monkeypatch.setattr(file_digests, "SETTLED_SECONDS", 0.0)
    path = write(ROWS)

    def identities():
        return [ImportEngine(path, where={"teacher": name}).identity for name in "abc"]

    first = identities()
    assert len(set(first)) == 3
    assert len(read) == 1
    os.utime(path, (1e9, 1e9))
    assert identities() == first  # touched: read again, and the same
    assert len(read) == 2
    Path(path).write_text(Path(path).read_text().replace("four", "fore"))  # the same size
    os.utime(path, (1e9, 1e9))  # and the same time of modification
    assert not set(identities()) & set(first)
    assert len(read) == 3
    monkeypatch.setattr(file_digests, "SETTLED_SECONDS", 1e12)  # it may still be written to
    identities()
    assert len(read) == 6


def test_parquet_and_csv_are_read(tmp_path):
    pq.write_table(pa.Table.from_pylist([{"problem": "x", "text": "y", "tokens": 3}]), tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("problem,text,tokens\nx,y,3\n")
    for name in ("t.parquet", "t.csv"):
        (completion,) = ImportEngine(str(tmp_path / name)).generate([_request("x")])
        assert (completion.text, completion.tokens_out) == ("y", 3)


def test_the_file_is_read_on_first_use_and_again_after_closing(write):
    engine = ImportEngine(write([{"problem": 1}]))
    write(ROWS)
    assert engine.samples_held("2 + 2") == 2
    write(ROWS[:1])
    assert engine.samples_held("2 + 2") == 2
    engine.close()
    assert engine.samples_held("2 + 2") == 1


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"problem": "x"}], {}, "row 1: field 'text' is missing, the row has: problem"),
        ([ROWS[0], {"problem": "x", "text": 5}], {}, "row 2: field 'text' is int, expected text"),
        ([{"problem": None, "text": "5"}], {}, "row 1: field 'problem' is NoneType, expected text"),
        (ROWS, {"fields": {"text": "trace"}}, "row 1: field 'trace' is missing"),
        (ROWS, {"fields": {"tokens": "n"}}, "row 1: field 'n' is missing"),
        (ROWS, {"where": {"model": "a"}}, "row 1: field 'model' is missing"),
        (ROWS, {"where": {"teacher": "a", "correct": "true"}}, "none of 3 rows has teacher = 'a', correct = 'true'"),
        (ROWS, {"where": {"correct": 1}}, "none of 3 rows has correct = 1"),
        ([], {}, "has no rows"),
        (
            [ROWS[0] | {"finish_reason": "eos"}],
            {},
            "field 'finish_reason' is 'eos', expected one of: stop, length, error",
        ),
        ([ROWS[0] | {"finish_reason": 1}], {}, "field 'finish_reason' is int, expected text"),
        ([ROWS[0] | {"reasoning": ["a"]}], {}, "field 'reasoning' is list, expected text"),
        ([ROWS[0] | {"tokens": -1}], {}, "field 'tokens' is -1, expected a whole number from 0"),
        ([ROWS[0] | {"tokens": True}], {}, "field 'tokens' is True, expected a whole number from 0"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(write, rows, options, message):
    path = write(rows)
    with pytest.raises(InputError) as caught:
        ImportEngine(path, **options).samples_held("x")
    assert str(caught.value).startswith(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_options_are_named_at_once(write, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        ImportEngine(str(tmp_path / "none.jsonl"))
    with pytest.raises(InputError, match="unknown format"):
        ImportEngine(str(tmp_path / "traces.txt"))
    with pytest.raises(InputError, match="fields has 'trace', expected some of: problem, text"):
        ImportEngine(write(ROWS), fields={"trace": "text"})
    with pytest.raises(InputError, match=r"prompt is 'solve', expected a text with {problem}"):
        ImportEngine(write(ROWS), prompt="solve")
    with pytest.raises(InputError, match=r"problems is .* expected a path, or a mapping with path, id and problem"):
        ImportEngine(write(ROWS), problems={"id": "x"})


@pytest.mark.parametrize("options", [{"own_tag": True}, {"prefix_ids": (1,)}])
def test_forking_tags_are_refused(write, options):
    with pytest.raises(InputError, match="writes no forking tags"):
        list(ImportEngine(write(ROWS)).generate([_request("2 + 2", **options)]))


def test_importing_the_engine_loads_nothing_heavy():
    code = "import sys, forkpipe.engines.imported; print({'kedro', 'pandas', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
