"""Votes among sets, held against the enumeration of all sets."""

import itertools
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkpipe.core import votes
from forkpipe.core.metrics import majority, native_cons, native_pass, pass_at_k
from forkpipe.core.votes import expected_pass, expected_vote

SAMPLES = st.lists(st.sampled_from([(7, True), (9, False), (11, False), (None, False)]), min_size=1, max_size=5)
CASES = st.lists(SAMPLES.flatmap(lambda s: st.tuples(st.just(s), st.integers(1, len(s)))), min_size=1, max_size=3)


def all_sets(strata, take):
    """Every set, as the list of its samples."""
    parts = [itertools.combinations(stratum, k) for stratum, k in zip(strata, take, strict=True)]
    return [[sample for part in parts for sample in part] for parts in itertools.product(*parts)]


def vote(drawn):
    return majority([None if answer is None else str(answer) for answer, _ in drawn], [right for _, right in drawn])


@given(CASES)
@settings(max_examples=200, deadline=None)
def test_both_equal_the_mean_over_all_sets(case):
    strata, take = [list(part) for part in zip(*case, strict=True)]
    sets = all_sets(strata, take)
    assert expected_vote(strata, take) == pytest.approx(mean(map(vote, sets)))
    correct = [[right for _, right in stratum] for stratum in strata]
    assert expected_pass(correct, take) == pytest.approx(mean(any(right for _, right in drawn) for drawn in sets))


@given(SAMPLES, st.randoms(use_true_random=False))
def test_the_order_of_samples_and_strata_does_not_matter(samples, random):
    shuffled = random.sample(samples, len(samples))
    other = [(7, True), (9, False)]
    assert expected_vote([samples, other], [1, 1]) == pytest.approx(expected_vote([other, shuffled], [1, 1]))


def test_one_stratum_is_pass_at_k_and_one_sample_a_tag_is_native():
    correct = [True, False, False, True, False]
    assert expected_pass([correct], [3]) == pytest.approx(pass_at_k(5, 2, 3))
    tags = [[True, False], [False, False], [True, True, False]]
    assert expected_pass(tags, [1, 1, 1]) == pytest.approx(native_pass(tags))
    named = [["7" if right else f"w{i}" for i, right in enumerate(tag)] for tag in tags]
    strata = [list(zip(names, tag, strict=True)) for names, tag in zip(named, tags, strict=True)]
    assert expected_vote(strata, [1, 1, 1]) == pytest.approx(native_cons(named, tags))


def test_two_of_three_by_hand():
    """Of three pairs two are a tie of right and wrong, one has two wrong: (1/2 + 1/2 + 0) / 3."""
    assert expected_vote([[("a", True), ("b", False), ("b", False)]], [2]) == pytest.approx(1 / 3)
    assert expected_vote([[(None, False), (None, False)]], [1]) == 0.0
    assert expected_vote([[(None, False), ("a", True)]], [1]) == 0.5


def test_the_papers_32_of_6_tags_is_one_whole_set():
    """6, 6, 5, 5, 5, 5: with as many samples as are taken there is one set, and its vote is the plurality."""
    take = [6, 6, 5, 5, 5, 5]
    strata = [[(1, True)] * 3 + [(tag + 2, False)] * (k - 3) for tag, k in enumerate(take)]
    assert expected_vote(strata, take) == 1.0
    strata[0] = [(2, False)] * 6
    strata[1] = [(2, False)] * 6
    strata[2] = [(2, False)] * 5
    assert expected_vote(strata, take) == 0.0


def test_many_sets_are_drawn_with_a_seed_and_come_near(monkeypatch):
    strata = [[(number % 7, number % 7 == 0) for number in range(11 + tag)] for tag in range(4)]
    take = [3, 2, 2, 2]
    monkeypatch.setattr(votes, "ENUMERATE_UP_TO", 10**7)
    exact = expected_vote(strata, take)
    monkeypatch.setattr(votes, "ENUMERATE_UP_TO", 4096)
    drawn = expected_vote(strata, take, seed=3)
    assert drawn == expected_vote(strata, take, seed=3)
    assert drawn != exact
    assert drawn == pytest.approx(exact, abs=0.03)


@pytest.mark.parametrize(("strata", "take"), [([], []), ([[(1, True)]], [2]), ([[(1, True)]], [1, 1]), ([[]], [0])])
def test_a_stratum_with_too_few_samples_is_an_error(strata, take):
    with pytest.raises(ValueError, match="strat"):
        expected_vote(strata, take)
    with pytest.raises(ValueError, match="strat"):
        expected_pass([[right for _, right in stratum] for stratum in strata], take)
