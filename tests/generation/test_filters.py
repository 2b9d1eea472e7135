"""Which correct traces may be in no trace set: by teacher, length, or as near duplicates of one problem."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from forkpipe.core.shingles import jaccard, shingles
from forkpipe.generation.filters import left_out
from forkpipe.generation.selection import select_sets
from forkpipe.models.student import student_of
from forkpipe.parameters import ModelSettings, TraceSetSettings

PROBLEM = {"problem_id": "p", "problem": "2 + 2", "answer": "4", "source": "s", "split": "train"}
STUDENT = student_of(ModelSettings())


def trace(name, text, teacher="a"):
    return {"trace_id": name, "problem_id": "p", "teacher": teacher, "text": text, "reasoning": "", "tokens_out": 1}


def strategy(name, cluster, representative=True):
    of_cluster = {"strategy": cluster, "representative": representative, "distance": 0.0, "distances": None}
    return {"trace_id": name, "problem_id": "p", **of_cluster}


def select(traces, strategies, **settings):
    return select_sets([PROBLEM], traces, strategies, TraceSetSettings(**{"select": "drawn"} | settings), 0)


def kept(traces, strategies, **settings):
    return [one["trace_id"] for row in select(traces, strategies, **settings)[0] for one in row["traces"]]


def test_only_named_teachers_are_in_sets_and_a_trace_of_theirs_takes_the_place_of_another():
    traces = [trace("t0", "one way", "a"), trace("t1", "one way too", "b"), trace("t2", "quite another way", "b")]
    rows = [strategy("t0", 0), strategy("t1", 0, representative=False), strategy("t2", 1)]
    assert kept(traces, rows) == ["t0", "t2"]
    assert kept(traces, rows, teachers=["b"]) == ["t1", "t2"]
    sets, rejected = select(traces, rows, teachers=["a"])
    assert sets == []
    assert [(row["id"], row["reason"], row["detail"]) for row in rejected] == [
        ("t1", "teacher left out", "b is not in trace_sets.teachers"),
        ("t2", "teacher left out", "b is not in trace_sets.teachers"),
        ("p", "too few strategies", "1 distinct strategies, 2 needed"),
    ]


@pytest.mark.parametrize(("least", "most", "left"), [(None, None, "1234"), (2, None, "234"), (2, 3, "23"), (4, 4, "4")])
def test_lengths_have_two_bounds_which_are_allowed_themselves(least, most, left):
    traces = [trace(str(n), "word " * n) for n in (1, 2, 3, 4)]
    rows = [strategy(str(n), n) for n in (1, 2, 3, 4)]
    settings = {"min_tokens": least, "max_tokens": most, "min_strategies": 1}
    assert "".join(kept(traces, rows, **settings)) == left
    reasons = {row["id"]: (row["reason"], row["detail"]) for row in select(traces, rows, **settings)[1]}
    assert reasons.keys() == set("1234") - set(left)
    if least == 4:
        assert reasons["1"] == ("too short", "1 tokens, trace_sets.min_tokens is 4")


SAME = "first add both numbers, then the sum is 4"
NEARLY = "First add both numbers,  then the sum is four"  # 6 of 8 runs of three words are those of SAME: 6 / 8 = .75
OTHER = "count two steps on from two along the line"


def test_of_near_duplicates_the_first_drawn_stays_whatever_the_selection():
    assert jaccard(shingles(SAME, 3), shingles(NEARLY.lower(), 3)) == 6 / 8
    traces = [trace("t0", SAME, "a"), trace("t1", NEARLY, "b"), trace("t2", OTHER, "c")]
    rows = [strategy("t0", 0), strategy("t1", 1), strategy("t2", 2)]
    for rule in ("drawn", "random", "longest", "divergent"):
        assert len(kept(traces, rows, select=rule)) == 3
        assert len(kept(traces, rows, select=rule, near_duplicates=0.76)) == 3
        ((row,), (rejected,)) = select(traces, rows, select=rule, near_duplicates=0.75)
        assert {one["trace_id"] for one in row["traces"]} | {rejected["id"]} == {"t0", "t1", "t2"}
        first = ({"t0", "t1"} - {rejected["id"]}).pop()
        assert (rejected["reason"], rejected["detail"]) == ("near duplicate", f"of trace {first}: 0.75 of their words")
    teachers = {"select": "teachers", "near_identical": None}
    assert len(kept(traces, rows, **teachers)) == 3
    assert len(kept(traces, rows, near_duplicates=0.75, **teachers)) == 2


WORDS = st.lists(st.sampled_from("abc"), max_size=7).map(" ".join)


@given(st.lists(WORDS, max_size=7), st.sampled_from([0.2, 0.5, 0.9, 1.0]))
def test_no_two_that_stay_are_near_duplicates_and_each_that_goes_is_one_of_an_earlier_that_stays(texts, share):
    traces = [trace(f"t{n}", text) for n, text in enumerate(texts)]
    gone = left_out(traces, texts, TraceSetSettings(near_duplicates=share), STUDENT)
    runs = {one["trace_id"]: shingles(one["text"], 3) for one in traces}
    stay = [name for name in runs if name not in gone]
    assert all(jaccard(runs[a], runs[b]) < share for a, b in itertools.combinations(stay, 2))
    for name, row in gone.items():
        first = row["detail"].split()[2].rstrip(":")
        assert first in stay
        assert int(first[1:]) < int(name[1:])
        assert jaccard(runs[first], runs[name]) >= share


def test_bounds_that_exclude_each_other_are_refused():
    with pytest.raises(ValidationError, match="min_tokens is 9, expected at most max_tokens, 8"):
        TraceSetSettings(min_tokens=9, max_tokens=8)
