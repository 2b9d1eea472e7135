"""Several sources of problems: how rows are read, what their problems are for, what is rejected."""

import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kedro.io import AbstractDataset, DataCatalog, MemoryDataset
from pydantic import ValidationError

from forkpipe.core.errors import InputError
from forkpipe.datasets.records import RecordsDataset
from forkpipe.datasets.sources import SourcesDataset
from forkpipe.parameters import ProblemSettings, VerificationSettings
from forkpipe.parameters.base import problem_of
from forkpipe.problems.raw_rows import normalise_problems
from kedro_provenance.content import Contents
from kedro_provenance.sources import entry


def settings(**sources):
    filled = {name: {"dataset": f"raw_{name}", "use": "train", **given} for name, given in sources.items()}
    return ProblemSettings.model_validate({"sources": filled})


def problems(rows, **sources):
    """Return (kept, rejected), with the rows of each source by its name."""
    return normalise_problems(rows, settings(**sources), VerificationSettings())


def rows(n, start=0):
    return [{"problem": f"What is {number} + 1?", "answer": str(number + 1)} for number in range(start, start + n)]


GSM8K = [{"question": "2 apples and 3 pears?", "answer": "2 + 3 = <<2+3=5>>5 fruits.\n#### 5"}]
SOLVED = [{"problem": "Find x.", "solution": "First \\boxed{1}, but then $x = \\boxed{\\frac{1}{2}}$.", "id": 4}]
CHAT = [
    {"prompt": [{"role": "user", "content": "Solve this.\n\n1 + 1\n\nAnswer:"}], "reward": {"truth": "2", "style": "x"}}
]


def test_rows_of_known_data_sets_are_read_where_their_texts_are():
    kept, rejected = problems(
        {"gsm8k": GSM8K, "math": SOLVED, "dapo": CHAT},
        gsm8k={"fields": {"problem": "question", "answer": {"field": "answer", "read": "hash"}}},
        math={"fields": {"answer": {"field": "solution", "read": "boxed"}, "source_id": "id"}, "keep": []},
        dapo={
            "fields": {
                "problem": {"field": "prompt", "read": "user", "pattern": "(?s)^Solve this\\.\\n\\n(.*)\\n\\nAnswer:$"},
                "answer": "reward.truth",
            },
            "use": "rl",
        },
    )
    assert rejected == []
    assert [(row["source"], row["problem"], row["answer"], row["answer_type"], row["split"]) for row in kept] == [
        ("gsm8k", "2 apples and 3 pears?", "5", "integer", "train"),
        ("math", "Find x.", "\\frac{1}{2}", "math", "train"),
        ("dapo", "1 + 1", "2", "integer", "rl"),
    ]
    assert [row["source_id"] for row in kept] == ["1", "4", "1"]
    assert [sorted(json.loads(row["metadata"])) for row in kept] == [["answer"], [], ["prompt", "reward"]]


@pytest.mark.parametrize(
    ("row", "field", "said"),
    [
        ({"answer": "so it is 5"}, {"field": "answer", "read": "hash"}, "field 'answer' has no '#### '"),
        ({"answer": "####  "}, {"field": "answer", "read": "hash"}, "field 'answer' has no '#### '"),
        ({"answer": "the answer is 5"}, {"field": "answer", "read": "boxed"}, "field 'answer' has no box"),
        ({"answer": "x = 5"}, {"field": "answer", "pattern": "y = (.*)"}, "nothing that matches 'y = (.*)'"),
        (
            {"answer": [{"role": "user", "content": "5"}]},
            {"field": "answer", "read": "assistant"},
            "no message of role",
        ),
    ],
)
def test_a_row_without_the_text_that_is_looked_for_is_rejected(row, field, said):
    kept, rejected = problems({"own": [{"problem": "?", **row}]}, own={"fields": {"answer": field}})
    assert kept == []
    assert [(row["reason"], said in row["detail"]) for row in rejected] == [("no answer", True)]


@pytest.mark.parametrize(
    ("row", "fields", "said"),
    [
        (
            {"problem": "?"},
            {},
            "raw_own row 1: field 'answer' is missing, expected it as in problems.sources.own.fields",
        ),
        ({"problem": "?", "answer": ["5"]}, {}, "row 1: field 'answer' is list, expected text"),
        ({"problem": "?", "a": {}}, {"answer": "a.b"}, "row 1: field 'a.b' is missing"),
        (
            {"problem": "?", "a": "5"},
            {"answer": {"field": "a", "read": "user"}},
            "field 'a' is str, expected a list of me",
        ),
    ],
)
def test_faults_of_a_file_stop_the_run(row, fields, said):
    with pytest.raises(InputError, match=said):
        problems({"own": [row]}, own={"fields": fields})


def test_chats_are_read_as_pandas_and_sharegpt_have_them():
    chat = np.array([{"from": "human", "value": "1 + 1"}, {"from": "gpt", "value": "It is \\boxed{2}."}])
    fields = {"problem": {"field": "chat", "read": "user"}, "answer": {"field": "chat", "read": "assistant"}}
    kept, _ = problems({"own": [{"chat": chat}]}, own={"fields": fields, "keep": []})
    assert [(row["problem"], row["answer"]) for row in kept] == [("1 + 1", "It is \\boxed{2}.")]


def test_the_answer_type_may_be_in_a_column():
    given = [
        {"problem": f"{kind}?", "answer": answer, "kind": kind}
        for kind, answer in (("MCQ", "B"), ("math-word-problem", "12"), ("choice", "A"))
    ]
    by_row = {"field": "kind", "values": {"MCQ": "choice", "math-word-problem": "auto"}}
    kept, _ = problems({"own": given}, own={"answer_type": by_row})
    assert [row["answer_type"] for row in kept] == ["choice", "integer", "choice"]
    kept, _ = problems({"own": given}, own={"answer_type": {**by_row, "other": "text"}})
    assert [row["answer_type"] for row in kept] == ["choice", "integer", "text"]


def test_only_rows_with_the_wanted_values_are_problems():
    given = [
        row | {"level": level, "ok": ok}
        for row, level, ok in zip(rows(4), [1, 2, 3, 4], [True, True, 1, False], strict=True)
    ]
    kept, rejected = problems({"own": given}, own={"where": {"level": [1, 3], "ok": True}})
    assert ([row["source_id"] for row in kept], rejected) == (["1"], [])
    with pytest.raises(InputError, match="raw_own has no rows with level = 9, expected at least one problem"):
        problems({"own": given}, own={"where": {"level": 9}})


def test_a_column_to_keep_that_no_row_has_is_a_slip():
    with pytest.raises(InputError, match="raw_own: no row has the column 'levl', which keep of own names"):
        problems({"own": [row | {"level": 1} for row in rows(2)]}, own={"keep": ["level", "levl"]})


def test_a_limit_takes_the_same_problems_whatever_the_order():
    kept, rejected = problems({"own": rows(40)}, own={"limit": 10})
    again, _ = problems({"own": rows(40)[::-1]}, own={"limit": 10})
    more, _ = problems({"own": rows(40)}, own={"limit": 20})
    ids = {row["problem_id"] for row in kept}
    assert (len(kept), ids) == (10, {row["problem_id"] for row in again})
    assert ids < {row["problem_id"] for row in more}
    assert {row["reason"] for row in rejected} == {"over the limit"}


def test_the_first_source_keeps_a_problem_that_several_have():
    kept, rejected = problems(
        {"a": [*rows(1), {"problem": "x", "answer": "1"}, {"problem": "x", "answer": "2"}],
         "b": [*rows(2), {"problem": "x", "answer": "2"}],
         "c": [{"problem": "What is 0 + 1?", "answer": "1.0"}]},
        a={}, b={"use": "rl"}, c={},
    )  # fmt: skip
    assert [(row["source"], row["source_id"], row["split"]) for row in kept] == [
        ("a", "1", "train"),
        ("b", "2", "rl"),
        ("b", "3", "rl"),
    ]
    assert [(row["reason"], row["detail"]) for row in rejected] == [
        ("conflicting answers", "source id 2: answers ['1', '2']"),
        ("conflicting answers", "source id 3: answers ['1', '2']"),
        ("duplicate", "source id 1: same as source id 1 of a"),
        ("duplicate", "source id 1: same as source id 1 of a, whose answer is '1'"),
    ]


@given(st.lists(st.integers(0, 400), unique=True, min_size=1), st.floats(0.05, 0.95))
def test_shares_of_a_source_are_those_of_the_only_source(numbers, share):
    """One source in `sources` gives the table that `source` gives: the same ids and splits."""
    given = [{"problem": f"P{number}", "answer": str(number)} for number in numbers]
    shares = {"train": share, "test": 1 - share}
    alone, _ = normalise_problems(given, ProblemSettings(source="own", shares=shares), VerificationSettings())
    one_of_many, _ = problems({"own": given}, own={"use": shares})
    assert alone == one_of_many


def test_sources_take_the_place_of_what_an_environment_inherits():
    inherited = {"source": "demo", "fields": {"problem": "x"}, "answer_type": "text", "shares": {"train": 1.0}}
    made = ProblemSettings.model_validate(
        {
            **inherited,
            "sources": {
                "a": {"file": "a.jsonl", "use": "rl"},
                "b": {"file": "b.jsonl", "use": {"train": 0.5, "test": 0.5}},
            },
        }
    )
    assert (made.source, made.splits) == (None, {"train", "rl", "test"})
    assert set(made.answer_types) == {"integer", "math"}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"use": "train"}, "expected one of dataset and file"),
        ({"use": "train", "file": "a.jsonl", "dataset": "a"}, "expected one of dataset and file"),
        ({"use": {"train": 0.5}, "file": "a.jsonl"}, "shares sum to 0.5, expected 1"),
        ({"use": "train", "dataset": "a", "reader": "programs"}, "reader is programs, expected file"),
        ({"use": "train", "file": "a.jsonl", "fields": {"answer": {"field": "a", "pattern": "("}}}, r"pattern is '\('"),
        (
            {"use": "train", "file": "a", "fields": {"answer": {"field": "a", "pattern": "(a)(b)"}}},
            "2 groups, expected one",
        ),
        ({"use": "training", "file": "a.jsonl"}, "use"),
    ],
)
def test_settings_that_do_not_fit_are_refused(source, said):
    with pytest.raises(ValueError, match=said):
        ProblemSettings.model_validate({"sources": {"own": source}})
    with pytest.raises(ValueError, match="source is missing"):
        ProblemSettings(shares={"train": 1.0})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"fields": {"answer": {"feld": "x"}}}, "problems.sources.own.fields.answer.field is missing"),
        ({"fields": {"answer": 3}}, "problems.sources.own.fields.answer is 3: input should be a valid string"),
        (
            {"fields": {"answer": {"field": "x", "read": "box"}}},
            "fields.answer.read is 'box': input should be 'text', 'boxed'",
        ),
        ({"answer_type": {"field": "x", "valuse": {}}}, "answer_type.valuse does not exist, did you mean values?"),
        ({"use": "training"}, "problems.sources.own.use is 'training': input should be 'train', 'rl'"),
        ({"use": {"train": 2}}, "problems.sources.own.use.train is 2: input should be less than or equal to 1"),
    ],
)
def test_a_wrong_parameter_is_named_as_it_was_written(source, said):
    with pytest.raises(ValidationError) as caught:
        ProblemSettings.model_validate({"sources": {"own": {"file": "a.jsonl", "use": "train", **source}}})
    assert said in problem_of(caught.value, "problems")


def test_sources_are_files_and_entries_of_the_catalog(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"problem": "1 + 1", "answer": "2"}\n'))
    made = settings(a={"file": str(path), "dataset": None}, b={})
    catalog = DataCatalog({"raw_b": MemoryDataset(rows(2))})
    loaded = SourcesDataset.of(made, catalog).load()
    assert [list(loaded["a"]), loaded["b"]] == [[{"problem": "1 + 1", "answer": "2"}], rows(2)]
    kept, _ = normalise_problems(loaded, made, VerificationSettings())
    assert [row["source"] for row in kept] == ["a", "b", "b"]
    with pytest.raises(InputError, match=r"problems\.sources\.c\.dataset is 'raw_c', which the catalog has not"):
        SourcesDataset.of(settings(c={}), catalog)
    with pytest.raises(InputError, match="raw_problems holds no source 'a'"):
        normalise_problems(rows(1), made, VerificationSettings())


def test_the_recipe_has_the_entry_of_every_source_and_no_secret(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"problem": "1 + 1", "answer": "2"}\n')
    contents = Contents(tmp_path / "cache.json")

    class Remote(AbstractDataset):
        def __init__(self, table, credentials=None):
            self.table = table

        def load(self):
            return []

        def save(self, data):
            pass

        def _describe(self):
            return {}

    def read(**members):
        return entry(SourcesDataset(members), contents)

    first = read(a=RecordsDataset(str(path)), b=Remote("t", credentials={"key": "secret"}))
    assert first["sources.b.table"] == "t"
    assert "secret" not in str(first)
    assert "sources.a.filepath" not in first  # its content counts, wherever it lies
    path.write_text('{"problem": "1 + 1", "answer": "3"}\n')
    changed = read(a=RecordsDataset(str(path)), b=Remote("u"))
    assert {key for key in first if first[key] != changed.get(key)} == {"sources.a", "sources.b.table"}
    hub = "hf://datasets/a/b@0123456789012345678901234567890123456789/x.parquet"
    assert read(c=RecordsDataset(hub))["sources.c.filepath"] == hub
