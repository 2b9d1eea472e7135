"""The prior on tags that learns from matchings, and the visits at which a problem is matched: by hand and by force."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkpipe.core.consistency import ConsistencyPrior, distinct, ngrams
from forkpipe.core.matching import is_due, match_optimal


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        (1, [0, 1, 2, 3, 4, 5]),
        (2, [0, 1, 2, 4, 6, 8]),
        (3, [0, 1, 2, 4, 7, 10]),
        (4, [0, 1, 2, 4, 8, 12]),
        (6, [0, 1, 2, 4, 8, 14]),
        (16, [0, 1, 2, 4, 8, 16]),
    ],
)
def test_gaps_double_up_to_k(every, expected):
    assert [visit for visit in range(expected[-1] + 1) if is_due(visit, every, "doubling")] == expected


@settings(deadline=None)
@given(every=st.integers(1, 40), visit=st.integers(0, 400))
def test_even_visits_are_multiples_and_doubling_adds_gaps_one_by_one(every, visit):
    assert is_due(visit, every) == (visit % every == 0)
    matched = {0}
    last = 0
    while last < visit:
        last += min(every, max(1, last))
        matched.add(last)
    assert is_due(visit, every, "doubling") == (visit in matched)


def test_costs_by_hand():
    """Two problems of two traces, the second not placed yet. V = 3: a never tells traces apart."""
    prior = ConsistencyPrior([[{"a", "b"}, {"a", "c"}], [{"b", "d"}, {"c"}]], n_tags=2)
    # All counts are 0: every feature is as likely under every tag, -log(0.1 / 0.3).
    assert prior.costs(1) == pytest.approx(np.full((2, 2), math.log(3)))
    prior.place(0, [1, 0])  # b under tag 1 and c under tag 0; a is in both traces and does not count
    by_tag = [
        # trace {b, d}                                                  trace {c}
        [-(math.log(0.1 / 1.3) + math.log(0.1 / 1.3)) / 2, -math.log(1.1 / 1.3)],
        [-(math.log(1.1 / 1.3) + math.log(0.1 / 1.3)) / 2, -math.log(0.1 / 1.3)],
    ]
    assert prior.costs(1) == pytest.approx(np.array(by_tag))
    assert match_optimal(prior.costs(1)).tolist() == [1, 0]
    # A problem's own traces do not count for itself.
    assert prior.costs(0) == pytest.approx(np.full((2, 2), math.log(3)))


def test_a_trace_without_features_of_its_own_costs_nothing():
    prior = ConsistencyPrior([[{"a"}, {"a"}], [{"a"}]], n_tags=3)
    prior.place(0, [0, 2])
    assert prior.costs(1).tolist() == [[0.0], [0.0], [0.0]]


def test_features():
    assert ngrams([3, 3, 4]) == {(3,), (4,), (3, 3), (3, 4)}
    assert distinct([{1, 2}, {2, 3}, {2}]) == [[1], [3], []]
    assert distinct([]) == []


FEATURES = st.lists(st.lists(st.sets(st.integers(0, 6), max_size=4), min_size=1, max_size=3), min_size=1, max_size=6)


@settings(deadline=None)
@given(features=FEATURES, draws=st.lists(st.tuples(st.integers(0, 5), st.permutations(range(3))), max_size=12))
def test_counts_are_those_of_the_last_places_in_any_order(features, draws):
    """Against counting anew: what was placed before leaves no trace, not even a rounding error."""
    prior = ConsistencyPrior(features, n_tags=3)
    last = {}
    for problem, tags in draws:
        if problem < len(features):
            last[problem] = list(tags[: len(features[problem])])
            prior.place(problem, last[problem])
    again = ConsistencyPrior(features, n_tags=3)
    for problem in sorted(last, reverse=True):
        again.place(problem, last[problem])
    for problem in range(len(features)):
        assert (prior.costs(problem) == again.costs(problem)).all()


@settings(deadline=None)
@given(features=FEATURES, renamed=st.permutations(range(3)), data=st.data())
def test_renaming_tags_renames_costs(features, renamed, data):
    prior, other = (ConsistencyPrior(features, n_tags=3) for _ in range(2))
    for problem, traces in enumerate(features):
        tags = data.draw(st.permutations(range(3)))[: len(traces)]
        prior.place(problem, tags)
        other.place(problem, [renamed[tag] for tag in tags])
    for problem in range(len(features)):
        assert (other.costs(problem)[list(renamed)] == prior.costs(problem)).all()


def test_it_makes_arbitrary_first_matchings_agree():
    """Thirty problems with the same three modes, labelled at random: solved again in turn, every mode gets one tag."""
    modes = [{"x", "p"}, {"y", "q"}, {"z", "r"}]
    prior = ConsistencyPrior([modes] * 30, n_tags=3)
    rng = np.random.default_rng(0)
    for problem in range(30):
        prior.place(problem, rng.permutation(3).tolist())
    for problem in itertools.chain(range(30), range(30)):
        prior.place(problem, match_optimal(prior.costs(problem)).tolist())
    assert len({tuple(match_optimal(prior.costs(problem))) for problem in range(30)}) == 1
