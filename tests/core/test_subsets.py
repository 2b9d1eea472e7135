"""Accuracy by subset, by hand, and what is said beside it."""

import json

from hypothesis import given
from hypothesis import strategies as st

from forkpipe.core.subsets import Caveats, JudgedSample, accuracy_by_subset, format_accuracies

PARTIAL = json.dumps({"public_only": True, "passed": 1})


def test_accuracy_by_subset_by_hand():
    """a is solved in 1 of 2 samples, b in 1 of 1, c in 0 of 1: the mean over problems is 1/2, over samples 2/4."""
    samples = [
        JudgedSample("a", True, {"difficulty": "easy", "errata": "none"}, PARTIAL),
        JudgedSample("a", False, {"difficulty": "easy", "errata": "none"}, PARTIAL),
        JudgedSample("b", True, {"difficulty": "hard", "errata": "none"}),
        JudgedSample("c", False, {"difficulty": "hard", "errata": "interactive"}),
    ]
    found = {one.subset: (one.value, one.n_problems, one.n_samples, one.note) for one in accuracy_by_subset(samples)}
    assert found == {
        "all": (0.5, 3, 4, "public tests only for 1 of 3 problems"),
        "difficulty=easy": (0.5, 1, 2, "public tests only"),
        "difficulty=hard": (0.5, 2, 2, ""),
        "errata=none": (0.75, 2, 3, "public tests only for 1 of 2 problems"),
        "errata=interactive": (0.0, 1, 1, ""),
    }


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), min_size=1), st.randoms())
def test_order_does_not_matter_and_subsets_make_up_the_whole(rows, rng):
    samples = [JudgedSample(problem, right, {"of": problem in "ab"}) for problem, right in rows]
    whole, *parts = accuracy_by_subset(samples)
    assert sum(part.n_problems for part in parts) == whole.n_problems
    mean = sum(part.value * part.n_problems for part in parts) / whole.n_problems
    assert abs(mean - whole.value) < 1e-12
    assert whole.low <= whole.value <= whole.high
    rng.shuffle(samples)
    again = accuracy_by_subset(samples)
    assert [(one.subset, round(one.value, 12)) for one in again] == [
        (one.subset, round(one.value, 12)) for one in (whole, *parts)
    ]


def test_what_a_program_wrote_is_no_caveat():
    caveats = Caveats()
    caveats.add("a", json.dumps({"got": '"public_only": true, "grader": "x"'}))
    caveats.add("b", None)
    assert str(caveats) == ""
    caveats.add("b", json.dumps({"public_only": True, "grader": "livecodebench"}))
    assert str(caveats) == "public tests only for 1 of 2 problems; graded as livecodebench does"


def test_a_table_says_it_beside_each_figure():
    text = format_accuracies(accuracy_by_subset([JudgedSample("a", True, {"platform": "atcoder"}, PARTIAL)]))
    assert [line.endswith("public tests only") for line in text.splitlines()] == [False, True, True]
    assert "100.00" in text
