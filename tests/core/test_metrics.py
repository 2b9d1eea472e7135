"""Scores of one problem's samples: hand-derived values, and no dependence on order."""

import itertools
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkpipe.core.metrics import ENUMERATE_UP_TO, cons_at_k, majority, native_cons, native_pass, pass_at_k

VOTES = st.lists(st.sampled_from(["7", "9", "11", "13", None]), min_size=1, max_size=12)


def right(votes):
    """7 and 13 are correct."""
    return [vote in ("7", "13") for vote in votes]


@pytest.mark.parametrize(("n", "c", "k", "value"), [(4, 1, 2, 0.5), (4, 2, 2, 5 / 6), (5, 0, 5, 0.0), (5, 1, 5, 1.0)])
def test_pass_at_k_by_hand(n, c, k, value):
    """Of the C(4, 2) = 6 pairs, 3 hold the only correct sample; with two correct ones a single pair holds neither."""
    assert pass_at_k(n, c, k) == pytest.approx(value)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_equals_the_quotient_of_binomials(case):
    n, c, k = case
    assert pass_at_k(n, c, k) == pytest.approx(1 - comb(n - c, k) / comb(n, k), abs=1e-12)


def test_pass_at_k_is_stable_for_many_samples():
    assert 0.0 < pass_at_k(100_000, 1, 50_000) == pytest.approx(0.5)


@pytest.mark.parametrize(("n", "c", "k"), [(3, 1, 4), (3, 4, 1), (3, -1, 1), (3, 1, 0), (0, 0, 1)])
def test_missing_samples_are_an_error(n, c, k):
    with pytest.raises(ValueError, match="pass@"):
        pass_at_k(n, c, k)


@pytest.mark.parametrize(
    ("votes", "value"),
    [
        (["7", "7", "9"], 1.0),
        (["9", "9", "7"], 0.0),
        (["7", "9"], 0.5),
        (["9", "7", "11"], 1 / 3),
        (["7", "13", "9"], 2 / 3),
        ([None, None, "7"], 1.0),
        ([None, None], 0.0),
    ],
)
def test_majority_by_hand(votes, value):
    """Ties are averaged: two answers with a vote each, one of them correct, score a half whichever comes first."""
    assert majority(votes, right(votes)) == pytest.approx(value)
    assert majority(votes[::-1], right(votes[::-1])) == pytest.approx(value)


def test_an_answer_is_correct_if_any_vote_for_it_is():
    assert majority(["7", "7", "9"], [False, True, False]) == 1.0


def test_votes_and_judgements_must_align():
    with pytest.raises(ValueError, match="2 votes and 1 judgements"):
        majority(["7", "9"], [True])
    with pytest.raises(ValueError, match="0 votes"):
        majority([], [])


def test_cons_ends_are_exact():
    """k = 1 is the accuracy, 2 of 5; k = n is the vote of all: 7 and 9 tie with two votes each."""
    votes = ["7", "9", "7", "9", None]
    assert cons_at_k(votes, right(votes), 1) == pytest.approx(2 / 5)
    assert cons_at_k(votes, right(votes), 5) == pytest.approx(1 / 2)


def test_cons_approaches_the_mean_over_all_draws():
    votes = ["7", "7", "9", "9", "9", None, "11"]
    exact = [majority(draw, right(draw)) for draw in itertools.combinations(votes, 3)]
    assert cons_at_k(votes, right(votes), 3, draws=20_000) == pytest.approx(sum(exact) / len(exact), abs=0.01)


@given(VOTES.flatmap(lambda v: st.tuples(st.just(v), st.permutations(v), st.integers(1, len(v)))))
def test_order_of_samples_changes_no_vote(case):
    votes, shuffled, k = case
    assert majority(votes, right(votes)) == majority(shuffled, right(shuffled))
    assert cons_at_k(votes, right(votes), k) == cons_at_k(shuffled, right(shuffled), k)


def test_wording_of_answers_changes_no_vote():
    votes = ["7", "7", "9", "9", "9", "11", None]
    renamed = [{"7": "z", "9": "a", "11": "m", None: None}[vote] for vote in votes]
    assert cons_at_k(votes, right(votes), 3) == cons_at_k(renamed, right(votes), 3)


@pytest.mark.parametrize(("k", "draws"), [(0, 1), (3, 1), (1, 0)])
def test_cons_refuses_what_cannot_be_drawn(k, draws):
    with pytest.raises(ValueError, match="cons@"):
        cons_at_k(["7", "9"], [True, False], k, draws=draws)


def test_native_cons_by_hand():
    """Tags say {7, 9}, {7}, {9}: the first decides, 7 wins with it by 2 to 1, so the vote is right half of the time."""
    tags = [["7", "9"], ["7"], ["9"]]
    assert native_cons(tags, [right(tag) for tag in tags]) == pytest.approx(0.5)


def test_native_cons_averages_ties_and_skips_abstentions():
    """{7, None} and {9}: a tie half of the time (1/2), 9 alone otherwise (0): 1/4."""
    tags = [["7", None], ["9"]]
    assert native_cons(tags, [right(tag) for tag in tags]) == pytest.approx(0.25)
    assert native_cons([[None], [None]], [[False], [False]]) == 0.0


def test_native_cons_draws_beyond_what_it_enumerates():
    """Seven tags of seven distinct votes: too many combinations, and the draws agree with a brute-force estimate."""
    answers = ["7", "9", "11", "13", "15", "17", None]
    tags = [answers[i:] + answers[:i] for i in range(7)]
    assert ENUMERATE_UP_TO < 7**7
    value = native_cons(tags, [right(tag) for tag in tags])
    assert value == native_cons([tag[::-1] for tag in tags[::-1]], [right(tag[::-1]) for tag in tags[::-1]])
    # Six answers are alike under every tag, two of them correct: a third, less 7**-7 for seven abstentions.
    assert value == pytest.approx(1 / 3, abs=0.03)


@settings(max_examples=50)
@given(st.lists(VOTES, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_native_scores_depend_on_no_order(tags, random):
    shuffled = [random.sample(tag, len(tag)) for tag in random.sample(tags, len(tags))]
    judged, shuffled_judged = [right(tag) for tag in tags], [right(tag) for tag in shuffled]
    assert native_cons(tags, judged) == pytest.approx(native_cons(shuffled, shuffled_judged), abs=1e-12)
    assert native_pass(judged) == native_pass(shuffled_judged)
    assert native_pass(judged) <= 1.0


def test_native_cons_with_one_sample_a_tag_is_the_vote():
    tags = [["7"], ["9"], ["7"], [None]]
    assert native_cons(tags, [right(tag) for tag in tags]) == majority(
        ["7", "9", "7", None], [True, False, True, False]
    )


def test_native_cons_of_many_tags_with_one_vote_each():
    """Of 40 tags 39 always say 7, and one says 7 or 9."""
    tags = [["7"]] * 39 + [["7", "9"]]
    assert native_cons(tags, [right(tag) for tag in tags]) == 1.0


def test_native_pass_by_hand():
    """Accuracies 1/2 and 1/4: 1 - 1/2 * 3/4 = 5/8."""
    assert native_pass([[True, False], [True, False, False, False]]) == pytest.approx(5 / 8)


def test_every_tag_needs_a_sample():
    with pytest.raises(ValueError, match="every tag needs"):
        native_pass([[True], []])
    with pytest.raises(ValueError, match="differ"):
        native_cons([["7"], ["9"]], [[True], [False, False]])
