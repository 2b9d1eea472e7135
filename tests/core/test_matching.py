"""Matching: brute force, margins by hand, what is refused."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkpipe.core.matching import margins, match_fixed, match_optimal, match_random, tags_of_modes, total_cost


def injections(n_tags, n_traces):
    return permutations(range(n_tags), n_traces)


def test_optimal_equals_brute_force_over_all_injections():
    """1,000 random matrices, N and M up to 6."""
    generator = np.random.default_rng(0)
    for _ in range(1000):
        n_tags = int(generator.integers(1, 7))
        n_traces = int(generator.integers(1, n_tags + 1))
        costs = generator.normal(size=(n_tags, n_traces))
        least = min(total_cost(costs, np.array(tags)) for tags in injections(n_tags, n_traces))
        found = match_optimal(costs)
        assert len(set(found.tolist())) == n_traces
        assert total_cost(costs, found) == pytest.approx(least)


@given(st.integers(0, 10_000), st.data())
def test_permuting_traces_or_renaming_tags_permutes_the_matching(seed, data):
    """With random (so almost surely unequal) costs the optimum is unique and follows the permutation."""
    costs = np.random.default_rng(seed).normal(size=(6, 4))
    traces = data.draw(st.permutations(range(4)))
    tags = data.draw(st.permutations(range(6)))
    matched = match_optimal(costs)
    assert match_optimal(costs[:, traces]).tolist() == matched[list(traces)].tolist()
    renamed = match_optimal(costs[tags, :])
    assert [tags[tag] for tag in renamed] == matched.tolist()


def test_ties_fall_the_same_way():
    costs = np.ones((6, 4))
    assert match_optimal(costs).tolist() == match_optimal(costs.copy()).tolist()


def test_margins_equal_brute_force():
    generator = np.random.default_rng(1)
    for _ in range(50):
        costs = generator.normal(size=(5, 3))
        matched = match_optimal(costs)
        for trace, margin in enumerate(margins(costs, matched)):
            others = [total_cost(costs, np.array(tags)) for tags in injections(5, 3) if tags[trace] != matched[trace]]
            assert margin == pytest.approx(min(others) - total_cost(costs, matched))


def test_a_single_tag_has_no_margin():
    assert margins(np.array([[2.0]]), np.array([0])) == [None]


def test_random_matching_is_an_injection_and_seeded():
    first = match_random(6, 4, np.random.default_rng(3))
    assert first.tolist() == match_random(6, 4, np.random.default_rng(3)).tolist()
    assert len(set(first.tolist())) == 4


def test_random_matching_uses_every_tag_evenly():
    """6,000 draws of 4 of 6 tags: each tag is expected 4,000 times, sd about 37."""
    generator = np.random.default_rng(0)
    counts = np.bincount(np.concatenate([match_random(6, 4, generator) for _ in range(6000)]), minlength=6)
    assert (abs(counts - 4000) < 200).all()


@pytest.mark.parametrize("costs", [np.zeros(3), np.zeros((2, 3)), np.array([[np.nan]])])
def test_bad_costs_are_refused(costs):
    with pytest.raises(ValueError):
        match_optimal(costs)


def test_more_traces_than_tags_are_refused_at_random_too():
    with pytest.raises(ValueError, match="3 traces"):
        match_random(2, 3, np.random.default_rng(0))


def test_fixed_matching_goes_by_mode_alone():
    tag_of = tags_of_modes(["b", "a", "c", "a"], 6)
    assert match_fixed(["c", "a", "c"], tag_of).tolist() == [2, 0, 2]


def test_more_modes_than_tags_share_in_rotation():
    assert tags_of_modes("abcd", 3) == {"a": 0, "b": 1, "c": 2, "d": 0}
