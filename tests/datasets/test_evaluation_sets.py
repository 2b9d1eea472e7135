"""The catalog entry for evaluation sets: what it reads, what it refuses, what its content is."""

import json

import pytest

from forkpipe.datasets.evaluation_sets import EvaluationSetsDataset
from forkpipe.datasets.records import RecordsError
from forkpipe.problems.evaluation_sets import EvaluationProblem


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_sets_are_read_in_order_with_their_columns(tmp_path):
    sets = {
        "one": {"filepath": write(tmp_path / "a.jsonl", {"problem": "1 + 1"}, {"problem": "1 + 2"})},
        "two": {"filepath": write(tmp_path / "b.jsonl", {"q": "2 + 2", "n": 7}), "problem": "q", "id": "n"},
    }
    dataset = EvaluationSetsDataset(sets=sets)
    assert dataset.load() == [
        EvaluationProblem("one", "1", "1 + 1"),
        EvaluationProblem("one", "2", "1 + 2"),
        EvaluationProblem("two", "7", "2 + 2"),
    ]
    assert dataset.preview(1)["data"] == [["one", "1", "1 + 1"]]


def test_no_set_is_a_set_too():
    assert EvaluationSetsDataset().load() == []
    assert EvaluationSetsDataset(sets={}).generated_from() == {}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "a.jsonl: has no rows, expected the problems of evaluation set one"),
        ([{"question": "x"}], "a.jsonl row 1: field 'problem' is missing, expected it in set one"),
        ([{"problem": "x"}, {"problem": 3}], "a.jsonl row 2: field 'problem' is int, expected text"),
        ([{"problem": " "}], "a.jsonl row 1: field 'problem' is empty, expected text"),
    ],
)
def test_faults_name_file_row_and_field(tmp_path, rows, message):
    dataset = EvaluationSetsDataset(sets={"one": {"filepath": write(tmp_path / "a.jsonl", *rows)}})
    with pytest.raises(RecordsError, match=message):
        dataset.load()


def test_a_missing_file_is_named_when_loaded_and_changes_the_content(tmp_path):
    dataset = EvaluationSetsDataset(sets={"one": {"filepath": str(tmp_path / "a.jsonl")}})
    before = dataset.generated_from()
    with pytest.raises(RecordsError, match=r"a\.jsonl: no such file"):
        dataset.load()
    write(tmp_path / "a.jsonl", {"problem": "x"})
    assert dataset.generated_from() != before


def test_content_is_bytes_and_columns_and_not_the_path(tmp_path):
    def content(name, text, **columns):
        path = write(tmp_path / name, {"problem": text, "q": text})
        return EvaluationSetsDataset(sets={"one": {"filepath": path, **columns}}).generated_from()

    assert content("a.jsonl", "x") == content("b.jsonl", "x")
    assert content("a.jsonl", "x") != content("b.jsonl", "y")
    assert content("a.jsonl", "x") != content("b.jsonl", "x", problem="q")


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({"problems": {"filepath": "a.jsonl"}}, "is called 'problems', expected another name"),
        ({"one": {"path": "a.jsonl"}}, "evaluation set one is .*expected filepath, problem and id"),
        ({"one": "a.jsonl"}, "evaluation set one is 'a.jsonl', expected filepath"),
    ],
)
def test_wrong_entries_are_named(sets, message):
    with pytest.raises(ValueError, match=message):
        EvaluationSetsDataset(sets=sets)
