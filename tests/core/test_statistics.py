"""Intervals over problems and the association of tags with strategies, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forkpipe.core.statistics import (
    bootstrap_interval,
    chance_information_bits,
    clustering_agreement,
    mean_interval,
    mutual_information_bits,
    paired_difference,
    pairs_needed,
    purity,
    t_interval,
    wilson_interval,
)

TABLES = arrays(np.int64, (3, 4), elements=st.integers(0, 20)).filter(lambda table: table.sum() > 0)
SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def test_intervals_of_shares_by_hand():
    """z = 1.96, z^2 = 3.8415. 0 of 10: the upper end is z^2 / (10 + z^2) = .2775.

    5 of 10: .5 -+ z sqrt(.25 / 10 + z^2 / 400) / (1 + z^2 / 10) = .5 -+ 1.96 * .18600 / 1.38415 = .5 -+ .2634.
    """
    assert wilson_interval(0, 10) == (0.0, pytest.approx(0.2775, abs=1e-4))
    assert wilson_interval(10, 10) == (pytest.approx(0.7225, abs=1e-4), 1.0)
    assert wilson_interval(5, 10) == (pytest.approx(0.2366, abs=1e-4), pytest.approx(0.7634, abs=1e-4))
    low, high = wilson_interval(5, 10, level=0.5)  # z = .6745: .5 -+ .6745 * .16164 / 1.04549
    assert (low, high) == (pytest.approx(0.3957, abs=1e-4), pytest.approx(0.6043, abs=1e-4))


@pytest.mark.parametrize(("successes", "trials", "level"), [(-1, 5, 0.9), (6, 5, 0.9), (0, 0, 0.9), (1, 5, 1.0)])
def test_a_share_needs_trials(successes, trials, level):
    with pytest.raises(ValueError, match="of n > 0 trials"):
        wilson_interval(successes, trials, level)


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=50))
def test_problems_that_are_solved_or_not_have_the_interval_of_a_share(values):
    """With 0 and 1 alone the variance is that of single trials, also with the two added problems: p (1 - p)."""
    assert mean_interval(values) == pytest.approx(wilson_interval(sum(values), len(values)))


def test_intervals_of_means_by_hand():
    """8 problems, each with half of its samples right. With a 0 and a 1 beside them the variance is .5 / 10 = .05, a
    fifth of the .25 of single trials: 5 * 8 = 40 trials, half of them successes.
    """
    assert mean_interval([0.5] * 8) == pytest.approx(wilson_interval(20, 40))
    assert mean_interval([0.5] * 8) == (pytest.approx(0.352, abs=1e-3), pytest.approx(0.648, abs=1e-3))


@given(SHARES)
def test_an_interval_holds_its_mean_and_never_collapses(values):
    low, high = mean_interval(values)
    mean = float(np.mean(values))
    assert 0.0 <= low <= mean <= high <= 1.0
    assert high - low > 1 / (2 * len(values) + 2)
    turned = mean_interval([1 - value for value in values])
    assert turned == (pytest.approx(1 - high, abs=1e-9), pytest.approx(1 - low, abs=1e-9))


@pytest.mark.parametrize("values", [[], [[0.5]], [1.5], [-0.1, 0.2]])
def test_an_interval_of_a_mean_needs_values_from_0_to_1(values):
    with pytest.raises(ValueError, match=r"one value a problem|from 0 to 1"):
        mean_interval(values)


def test_rare_successes_are_covered_where_a_bootstrap_misses_them():
    """50 problems whose chances of a right sample are Beta(.023, 2.31), 1 % on average; 12 samples each."""
    rng = np.random.default_rng(0)
    covered = {"wilson": 0, "bootstrap": 0}
    for _ in range(300):
        values = rng.binomial(12, rng.beta(0.01 * 7 / 3, 0.99 * 7 / 3, size=50)) / 12
        for name, (low, high) in {
            "wilson": mean_interval(values),
            "bootstrap": bootstrap_interval(values, resamples=200, seed=0),
        }.items():
            covered[name] += low <= 0.01 <= high
    assert covered["wilson"] > 0.93 * 300
    assert covered["bootstrap"] < 0.8 * 300


def test_equal_values_leave_nothing_to_the_choice_of_problems():
    assert bootstrap_interval([0.25] * 10, resamples=100, seed=0) == (0.25, 0.25)


def test_the_interval_is_that_of_a_binomial_mean():
    """400 problems, half of them solved: 1.96 * sqrt(.25 / 400) = .049 on either side."""
    low, high = bootstrap_interval([0.0, 1.0] * 200, resamples=4000, seed=1)
    assert (low, high) == (pytest.approx(0.451, abs=0.006), pytest.approx(0.549, abs=0.006))


def test_resamples_follow_from_the_seed_and_not_from_the_chunks():
    values = np.linspace(0, 1, 30)
    assert bootstrap_interval(values, 700, 3) == bootstrap_interval(values, 700, 3)
    assert bootstrap_interval(values, 700, 3) != bootstrap_interval(values, 700, 4)


def test_differences_are_paired():
    """b is a shifted by .1, so only the two added problems make the interval wide: sqrt(2 / 52^2) = .027 each side.

    Unpaired, the two means would differ by .1 with a standard error of sqrt(2 * .27^2 / 50) = .054.
    """
    b = list(np.linspace(0, 0.9, 50))
    mean, low, high = paired_difference([value + 0.1 for value in b], b, resamples=4000, seed=0)
    assert mean == pytest.approx(0.1)
    assert 0.02 < low < 0.07
    assert 0.13 < high < 0.18


def test_equal_methods_may_still_differ():
    """a and b agree on all of 98 problems. The two added ones are drawn about once each: 97.5 % of Skellam(1, 1) are
    at most 3, so the interval is -+ .03.
    """
    agree = [0.0] * 98
    assert paired_difference(agree, agree, resamples=4000, seed=0) == (0.0, pytest.approx(-0.03), pytest.approx(0.03))


@pytest.mark.parametrize(("values", "resamples", "level"), [([], 10, 0.95), ([1.0], 0, 0.95), ([1.0], 10, 1.0)])
def test_an_interval_needs_values(values, resamples, level):
    with pytest.raises(ValueError, match=r"problem|resamples"):
        bootstrap_interval(values, resamples, 0, level)


def test_a_difference_needs_the_same_problems():
    with pytest.raises(ValueError, match="2 and 1"):
        paired_difference([1.0, 0.0], [1.0], resamples=10, seed=0)


def test_information_by_hand():
    """One label a tag among four: 2 bits. Independent: 0. Half of a bit of noise: 1 - H(1/4) = .1887."""
    assert mutual_information_bits(np.eye(4) * 5) == pytest.approx(2.0)
    assert mutual_information_bits([[2, 4], [1, 2]]) == pytest.approx(0.0, abs=1e-12)
    assert mutual_information_bits([[3, 1], [1, 3]]) == pytest.approx(1 - 0.8112781, abs=1e-6)
    assert mutual_information_bits([[5], [7]]) == 0.0


@given(TABLES, st.permutations(range(3)), st.permutations(range(4)))
def test_names_of_tags_and_labels_do_not_matter(table, rows, columns):
    renamed = table[rows][:, columns]
    assert mutual_information_bits(renamed) == pytest.approx(mutual_information_bits(table), abs=1e-9)
    assert purity(renamed) == pytest.approx(purity(table))
    assert 0 <= mutual_information_bits(table) <= np.log2(3) + 1e-9


def test_chance_information_is_what_independent_tags_show():
    """Six tags, six labels, 300 traces: 25 / (600 ln 2) = .060 bits, near the mean over random tables."""
    rng = np.random.default_rng(0)
    tables = [np.histogram2d(*rng.integers(6, size=(2, 300)), bins=6)[0] for _ in range(100)]
    assert chance_information_bits(tables[0]) == pytest.approx(0.0601, abs=1e-4)
    assert np.mean([mutual_information_bits(table) for table in tables]) == pytest.approx(0.0601, abs=0.005)


def test_purity_by_hand():
    """3 of 4 under the first tag, 4 of 4 under the second, none under the third: 7 of 8."""
    assert purity([[3, 1], [0, 4], [0, 0]]) == pytest.approx(7 / 8)


@pytest.mark.parametrize("counts", [[[0, 0]], [1, 2], [[1, -1]]])
def test_association_needs_a_table_of_counts(counts):
    for function in (mutual_information_bits, purity, chance_information_bits):
        with pytest.raises(ValueError, match="table of counts"):
            function(counts)


def test_agreement_of_clusters():
    """The same clusters under other names agree fully; one cluster for all says nothing."""
    assert clustering_agreement(["a", "a", "b"], [1, 1, 0]) == (pytest.approx(1.0), pytest.approx(1.0))
    assert clustering_agreement(["a", "a", "b", "b"], [0, 0, 0, 0]) == (pytest.approx(0.0), pytest.approx(0.0))
    with pytest.raises(ValueError, match="1 true and 2 found"):
        clustering_agreement(["a"], [0, 1])


def test_the_t_interval_by_hand():
    """Mean 3, s = 2**.5, n = 2, t(.975, 1 degree) = 12.7062: 3 -+ 12.7062 * 2**.5 / 2**.5."""
    assert t_interval([2.0, 4.0]) == pytest.approx((3 - 12.7062, 3 + 12.7062), abs=1e-4)
    assert t_interval([0.5, 0.5, 0.5]) == (0.5, 0.5)
    with pytest.raises(ValueError, match="at least two values"):
        t_interval([1.0])


def test_pairs_needed_by_hand():
    # (1.95996 + 0.84162)^2 = 7.8489; times (.05 / .02)^2 = 49.06
    assert pairs_needed(0.05, 0.02) == 50
    assert pairs_needed(0.05, -0.02) == 50
    assert pairs_needed(0.0, 0.02) == 2
    for wrong in ((-1.0, 0.1, 0.95, 0.8), (1.0, 0.0, 0.95, 0.8), (1.0, 0.1, 1.0, 0.8), (1.0, 0.1, 0.95, 1.0)):
        with pytest.raises(ValueError, match="expected a deviation"):
            pairs_needed(*wrong)


def test_so_many_pairs_show_the_effect_four_times_in_five():
    """A simulation: normal differences with mean .02 and deviation .05; how often the t interval is above 0."""
    rng = np.random.default_rng(0)
    trials = rng.normal(0.02, 0.05, size=(1000, pairs_needed(0.05, 0.02)))
    error = trials.std(axis=1, ddof=1) / np.sqrt(trials.shape[1])
    assert 0.75 < (trials.mean(axis=1) / error > 2.01).mean() < 0.83
