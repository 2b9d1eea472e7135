"""Which problems are taken out for overlap, what is written of them, and that nothing is lost."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkpipe.core.errors import InputError
from forkpipe.core.records import Problem
from forkpipe.demo.dataset import ModularPowersDataset
from forkpipe.parameters import BenchmarksSettings, DecontaminationSettings, ProblemSettings, VerificationSettings
from forkpipe.problems.benchmark_rows import load_benchmarks
from forkpipe.problems.decontamination import remove_overlaps
from forkpipe.problems.evaluation_sets import EvaluationProblem
from forkpipe.problems.raw_rows import normalise_problems

STEM = "A farmer has 12 hens and each of the hens lays 3 eggs in a day."
ASKED = "How many eggs will the farmer have collected from all of his hens after one week?"
EGGS = f"{STEM} {ASKED}"
OTHER = "What is the least positive integer whose square ends in the digits 44, written in base ten?"
SETS = [EvaluationProblem("farm", "f1", EGGS), EvaluationProblem("squares", "7", OTHER)]


def problem(text, answer="1", split="train", number="1"):
    made = Problem.create(text, answer, answer_type="integer", source="demo", source_id=number, split=split)
    return {name: getattr(made, name) for name in Problem.__slots__}


def run(rows, sets=(), **parameters):
    given_settings = DecontaminationSettings.model_validate(parameters)
    kept, overlaps, rejected, summary = remove_overlaps(rows, list(sets), given_settings)
    gone = {one["id"] for one in rejected}
    assert kept == [row for row in rows if row["problem_id"] not in gone]
    assert len(kept) + len(rejected) == len(rows) == summary["problems"]
    assert {one["problem_id"] for one in overlaps if one["action"] == "rejected"} == {one["id"] for one in rejected}
    return kept, overlaps, rejected, summary


def test_each_kind_is_rejected_with_the_pair_that_matched():
    rows = [
        problem(EGGS.upper().replace("12", "$12$"), number="a"),
        problem(f"Solve this with care. {EGGS} Explain.", number="b"),
        problem(EGGS.replace("has", "keeps").replace("in a", "every").replace("collected", "taken"), number="c"),
        problem(EGGS.replace("12", "17"), number="d"),
        problem("How many ways are there to seat four guests at a round table?", number="e"),
    ]
    kept, overlaps, rejected, summary = run(rows, SETS, within=False, ngram={"share": 0.9})
    assert [row["source_id"] for row in kept] == ["d", "e"]
    assert [(one["kind"], one["action"]) for one in overlaps] == [
        ("exact", "rejected"), ("ngram", "rejected"), ("near", "rejected"), ("renumbered", "kept"),
    ]  # fmt: skip
    assert {(one["set"], one["other_id"], one["other_problem"]) for one in overlaps} == {("farm", "f1", EGGS)}
    assert rejected[0]["stage"] == "decontamination"
    assert rejected[0]["reason"] == "exact overlap with farm"
    assert rejected[0]["detail"] == f"source id a: score 1.00 with farm f1: {EGGS}"
    assert summary["kept"] == 2
    assert summary["evaluation_sets"] == {"farm": 1, "squares": 1}
    assert {"set": "farm", "kind": "near", "action": "rejected", "problems": 1} in summary["overlaps"]


@pytest.mark.parametrize(("said", "rows", "kept"), [("ignore", 0, 1), ("report", 1, 1), ("reject", 1, 0)])
def test_what_becomes_of_renumbered_problems(said, rows, kept):
    found = run([problem(EGGS.replace("12", "17"))], SETS, renumbered=said)
    assert (len(found[1]), len(found[0])) == (rows, kept)


def test_kinds_can_be_left_out():
    longer = [problem(f"{OTHER} Justify every step of your solution in detail, please. {OTHER} {STEM}")]
    assert run(longer, SETS)[1][0]["kind"] == "ngram"
    assert run(longer, SETS, ngram=None, near=None)[0] == longer


def test_a_problem_in_two_sets_is_counted_in_both_and_rejected_once():
    sets = [EvaluationProblem("one", "1", EGGS), EvaluationProblem("two", "1", EGGS)]
    _, overlaps, rejected, _ = run([problem(EGGS)], sets)
    assert [one["set"] for one in overlaps] == ["one", "two"]
    assert len(rejected) == 1


def test_too_short_problems_are_counted():
    _, _, _, summary = run([problem(EGGS)], [EvaluationProblem("tiny", "1", "Compute 1 + 1.")])
    assert summary["too_short_for_ngrams"] == {"tiny": 1}


def test_of_duplicates_one_is_kept_and_held_out_problems_come_first():
    train, test = problem(EGGS, number="a"), problem(EGGS.lower(), split="test", number="b")
    for rows in ([train, test], [test, train]):
        kept, overlaps, rejected, _ = run(rows)
        assert kept == [test]
        assert overlaps[0]["other_id"] == test["problem_id"]
        assert overlaps[0]["set"] == "problems"
        assert rejected[0]["reason"] == "exact overlap with problems"


def test_near_duplicates_need_the_same_answer_on_one_side_of_the_line():
    reworded = EGGS.replace("farmer has", "farmer owns")
    same = [problem(EGGS, "252"), problem(reworded, "252")]
    assert len(run(same)[0]) == 1
    other = [problem(EGGS, "252"), problem(reworded, "36")]
    kept, overlaps, _, _ = run(other)
    assert kept == other
    assert [(one["kind"], one["action"]) for one in overlaps] == [("near", "kept")]
    across = [problem(EGGS, "252", split="validation"), problem(reworded, "36", split="rl")]
    assert run(across)[0] == across[:1]


def test_equal_texts_with_different_answers_are_all_rejected():
    rows = [problem(EGGS, "252"), problem(EGGS.upper(), "36"), problem(EGGS.lower(), "252"), problem(OTHER)]
    kept, overlaps, rejected, _ = run(rows)
    assert kept == rows[3:]
    assert [one["reason"] for one in rejected] == ["conflicting answers"] * 3
    answers = {row["problem_id"]: row["answer"] for row in rows}
    assert all(answers[one["problem_id"]] != answers[one["other_id"]] for one in overlaps)


def test_two_worked_solutions_with_the_same_final_answer_are_no_conflict():
    rows = [problem(EGGS, "12 * 3 * 7 = 252\n#### 252"), problem(EGGS.upper(), "a week: 252 eggs\n#### 252")]
    kept, _, rejected, _ = run(rows)
    assert len(kept) == 1
    assert [one["reason"] for one in rejected] != ["conflicting answers"]
    differing = [problem(EGGS, "12 * 3 = 36\n#### 36"), problem(EGGS.upper(), "a week: 252 eggs\n#### 252")]
    assert [one["reason"] for one in run(differing)[2]] == ["conflicting answers"] * 2


def test_renumbered_problems_of_a_template_are_all_kept():
    """The embedded default: all alike in wording."""
    shares = {"train": 0.5, "test": 0.5}
    raw = ModularPowersDataset(modulus=17, first_exponent=3, last_exponent=40).load()
    rows, _ = normalise_problems(raw, ProblemSettings(source="powers", shares=shares), VerificationSettings())
    kept, overlaps, rejected, summary = run(rows)
    assert kept == rows
    assert rejected == []
    assert {one["kind"] for one in overlaps} == {"renumbered"}
    assert len(overlaps) == len(rows) - 1
    assert summary["over_template_limit"] == len(rows) - 50


VOCABULARY = ("cat", "dog", "3", "5", "runs", "sees", "tree", "river", "+", "blue")
TEXTS = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=14).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(TEXTS, st.sampled_from("12"), st.sampled_from(["train", "rl", "validation", "test"])), max_size=25
    ),
    st.lists(TEXTS, max_size=4),
    st.sampled_from(["ignore", "report", "reject"]),
    st.randoms(use_true_random=False),
)
def test_order_changes_nothing_and_every_pair_exists(drawn, evaluation, said, shuffled: random.Random):
    rows = list({row["problem_id"]: row for row in (problem(*one) for one in drawn)}.values())
    sets = [EvaluationProblem("set", str(number), text) for number, text in enumerate(evaluation)]
    parameters = {"renumbered": said, "ngram": {"n": 4, "shortest": 3}}
    kept, overlaps, rejected, _ = run(rows, sets, **parameters)
    mixed = shuffled.sample(rows, len(rows))
    again = run(mixed, sets, **parameters)
    assert {row["problem_id"] for row in again[0]} == {row["problem_id"] for row in kept}
    assert sorted(map(str, again[2])) == sorted(map(str, rejected))
    texts = {"set": {one.id: one.problem for one in sets}, "problems": {r["problem_id"]: r["problem"] for r in rows}}
    survivors = {row["problem_id"] for row in kept}
    reasons = {one["id"]: one["reason"] for one in rejected}
    for one in overlaps:
        assert texts[one["set"]][one["other_id"]] == one["other_problem"]
        assert one["other_id"] != one["problem_id"]
        if one["set"] == "problems" and reasons.get(one["problem_id"]) != "conflicting answers":
            assert one["other_id"] in survivors


def test_benchmarks_are_evaluation_sets_by_themselves(tmp_path, monkeypatch):
    """The question alone overlaps as well as the question with its options, in whatever order these are asked."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "choices.jsonl"
    options = {"right": "588 eggs after one week", "wrong": "36 eggs, since the hens lay them in one day alone"}
    path.write_text(json.dumps({"id": "q1", "problem": EGGS, **options}) + "\n")
    fields = {"answer": "right", "distractors": ["wrong"]}
    source = {"file": str(path), "fields": fields}
    define = {"eggs": {"answer_type": "choice", "rows": 1, "sources": [source]}}
    benchmarks = load_benchmarks(BenchmarksSettings.model_validate({"use": ["eggs"], "define": define}))
    asked = f"{EGGS}\n(1) {options['wrong']}\n(2) {options['right']}"
    rows = [problem(EGGS, number="a"), problem(asked, number="b"), problem(OTHER, number="c")]
    kept, overlaps, rejected, summary = remove_overlaps(rows, [], DecontaminationSettings(within=False), benchmarks)
    assert [row["source_id"] for row in kept] == ["c"]
    assert [(row["set"], row["other_id"], row["other_problem"], row["score"]) for row in overlaps] == [
        ("eggs", "q1", EGGS, 1.0)
    ] * 2
    assert (len(rejected), summary["evaluation_sets"]) == (2, {"eggs": 1})
    with pytest.raises(InputError, match=r"evaluation set eggs of the catalog is in benchmarks.use too"):
        remove_overlaps(rows, [EvaluationProblem("eggs", "1", "?")], DecontaminationSettings(), benchmarks)
