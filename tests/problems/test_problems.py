"""Raw rows to problems: what is kept, rejected, refused."""

import json

import numpy as np
import pandas as pd
import pytest

from forkpipe.core.errors import InputError
from forkpipe.parameters import ProblemSettings, VerificationSettings
from forkpipe.problems import raw_rows as nodes
from forkpipe.problems.raw_rows import split_of

SETTINGS = ProblemSettings(source="demo", shares={"train": 0.5, "test": 0.5})


def normalise_problems(rows, settings):
    return nodes.normalise_problems(rows, settings, VerificationSettings())


def raw(*pairs):
    return [{"problem": problem, "answer": answer} for problem, answer in pairs]


def test_the_first_of_identical_rows_is_kept():
    kept, rejected = normalise_problems(raw(("1 + 1", "2"), ("1 + 1", "2"), ("1 + 2", "3")), SETTINGS)
    assert [(row["problem"], row["source_id"]) for row in kept] == [("1 + 1", "1"), ("1 + 2", "3")]
    assert [(row["reason"], row["detail"]) for row in rejected] == [("duplicate", "source id 2: same as source id 1")]


def test_conflicting_answers_reject_all():
    kept, rejected = normalise_problems(raw(("1 + 1", "2"), ("1 + 1", "3"), ("1 + 1", "2"), ("x", "1")), SETTINGS)
    assert [row["problem"] for row in kept] == ["x"]
    assert [row["reason"] for row in rejected] == ["conflicting answers"] * 3


def test_an_answer_that_cannot_be_read_is_a_fault_of_the_problem():
    kept, rejected = normalise_problems(raw(("a", "12"), ("b", "\\frac{1}{"), ("c", "x" * 3_000)), SETTINGS)
    assert [row["problem"] for row in kept] == ["a"]
    assert [(row["reason"], row["detail"][:33]) for row in rejected] == [
        ("unreadable answer", "source id 2: math answer '\\\\frac{"),
        ("unreadable answer", "source id 3: math answer 'xxxxxxx"),
    ]


def test_answer_types_are_seen():
    kept, _ = normalise_problems(raw(("a", "-12"), ("b", "\\frac{1}{2}"), ("c", "007")), SETTINGS)
    assert [row["answer_type"] for row in kept] == ["integer", "math", "integer"]


def test_other_columns_become_metadata_and_names_are_mapped():
    settings = ProblemSettings.model_validate(
        {**SETTINGS.model_dump(), "fields": {"problem": "question", "answer": "gold", "source_id": "id"}}
    )
    kept, _ = normalise_problems([{"id": "q7", "question": "1 + 1", "gold": "2", "level": 3}], settings)
    assert kept[0]["source_id"] == "q7"
    assert kept[0]["metadata"] == '{"level": 3}'


def _only(metadata):
    """Parse metadata as strict JSON, which has no NaN."""
    return json.loads(metadata, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_lists_numbers_and_missing_values_stay_what_they_are_in_metadata():
    rows = pd.DataFrame(raw(("1 + 1", "2")))
    rows["steps"] = [np.arange(2000)]
    rows["nested"] = [{"ids": np.array([[1, 2], [3, 4]]), "words": ("a", np.str_("b")), 5: np.bool_(True)}]
    rows["score"], rows["missing"], rows["none"] = np.nan, pd.NA, pd.NaT
    rows["level"], rows["share"] = np.int64(3), np.float32(0.5)
    rows["when"] = pd.Timestamp("2026-01-02")
    rows["days"] = [np.array(["2026-01-02", "NaT"], "datetime64[ns]")]
    rows["limit"] = [[float("inf"), 1.5]]
    kept, _ = normalise_problems(rows, SETTINGS)
    assert _only(kept[0]["metadata"]) == {
        "steps": list(range(2000)),
        "nested": {"ids": [[1, 2], [3, 4]], "words": ["a", "b"], "5": True},
        "score": None,
        "missing": None,
        "none": None,
        "level": 3,
        "share": 0.5,
        "when": "2026-01-02 00:00:00",
        "days": ["2026-01-02T00:00:00.000000000", None],
        "limit": [None, 1.5],
    }


def test_a_pandas_table_is_read():
    kept, _ = normalise_problems(pd.DataFrame(raw(("1 + 1", "2"))), SETTINGS)
    assert kept[0]["answer"] == "2"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "raw_problems has no rows"),
        ([{"problem": "1 + 1"}], "raw_problems row 1: field 'answer' is missing"),
        (raw(("a", "1"), ("b", 2.5)), "raw_problems row 2: field 'answer' is float, expected text"),
        (raw(("a", None)), "row 1: field 'answer' is NoneType, expected text"),
        (raw((" ", "1")), "row 1: field 'problem' is empty"),
    ],
)
def test_faults_of_the_file_stop_the_run(rows, message):
    with pytest.raises(InputError, match=message):
        normalise_problems(rows, SETTINGS)


def test_a_source_id_twice_stops_the_run():
    settings = SETTINGS.model_copy(update={"fields": SETTINGS.fields.model_copy(update={"source_id": "id"})})
    rows = [{"id": "1", "problem": "a", "answer": "1"}, {"id": "1", "problem": "b", "answer": "1"}]
    with pytest.raises(InputError, match="row 2: source id '1' stands in row 1 already"):
        normalise_problems(rows, settings)


def test_splits_follow_shares_and_ids_alone():
    """2,000 ids at shares .5 and .5: 1,000 expected, sd 22."""
    splits = [split_of(str(i), SETTINGS) for i in range(2000)]
    assert set(splits) == {"train", "test"}
    assert 900 < splits.count("train") < 1100
    assert splits == [split_of(str(i), SETTINGS) for i in range(2000)]
    salted = SETTINGS.model_copy(update={"split_salt": "x"})
    assert splits != [split_of(str(i), salted) for i in range(2000)]


def test_whole_numbers_are_read_as_text():
    rows = [{"id": 7, "problem": "1 + 1", "answer": 2}]
    settings = SETTINGS.model_copy(update={"fields": SETTINGS.fields.model_copy(update={"source_id": "id"})})
    (made,), _ = normalise_problems(rows, settings)
    assert (made["source_id"], made["answer"], made["answer_type"]) == ("7", "2", "integer")


def test_worded_solutions_with_the_same_final_answer_are_no_conflict():
    rows = raw(
        ("3 apples and 4", "3+4=7\n#### 7"),
        ("3 apples and 4", "He has 3 + 4 = 7 apples.\n#### 7"),
        ("3 apples and 4", "7"),
        ("half", "1/2"),
        ("half", "0.5"),
    )
    kept, rejected = normalise_problems(rows, SETTINGS)
    assert [(row["problem"], row["source_id"]) for row in kept] == [("3 apples and 4", "1"), ("half", "4")]
    assert [row["reason"] for row in rejected] == ["duplicate"] * 3
    assert rejected[0]["detail"] == "source id 2: same as source id 1, whose answer is '3+4=7\\n#### 7'"


def test_worded_solutions_with_different_final_answers_are_one():
    """The second and the third agree, the first does not: nobody knows who is right."""
    rows = raw(("x", "3+4=8\n#### 8"), ("x", "so 3+4=7\n#### 7"), ("x", "it is 7\n#### 7"))
    kept, rejected = normalise_problems(rows, SETTINGS)
    assert kept == []
    assert [row["reason"] for row in rejected] == ["conflicting answers"] * 3
    assert "answers ['3+4=8\\n#### 8', 'so 3+4=7\\n#### 7']" in rejected[0]["detail"]


def test_a_run_can_be_limited_for_a_first_try():
    rows = raw(*((f"{n} + {n}", str(2 * n)) for n in range(100)))
    whole, _ = normalise_problems(rows, SETTINGS)
    kept, rejected = normalise_problems(rows, SETTINGS.model_copy(update={"limit": 10}))
    assert [row for row in whole if row in kept] == kept
    train = sum(row["split"] == "train" for row in whole)
    assert len(kept) == 10
    assert abs(sum(row["split"] == "train" for row in kept) - train / 10) < 1
    assert len(rejected) == 90
    assert {row["reason"] for row in rejected} == {"over the limit"}
    assert rejected[0]["detail"].endswith("the run is limited to 10 problems")
    backwards, _ = normalise_problems(rows[::-1], SETTINGS.model_copy(update={"limit": 10}))
    assert {row["problem_id"] for row in backwards} == {row["problem_id"] for row in kept}
    all_kept, none = normalise_problems(rows, SETTINGS.model_copy(update={"limit": 100}))
    assert (all_kept, none) == (whole, [])
