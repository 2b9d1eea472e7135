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
    mutual_information_bits,
    paired_difference,
    purity,
)

TABLES = arrays(np.int64, (3, 4), elements=st.integers(0, 20)).filter(lambda table: table.sum() > 0)


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
    """b is a shifted by .1: whatever problems are drawn the difference is .1, though both vary widely."""
    b = list(np.linspace(0, 0.9, 50))
    mean, low, high = paired_difference([value + 0.1 for value in b], b, resamples=200, seed=0)
    assert (mean, low, high) == (pytest.approx(0.1), pytest.approx(0.1), pytest.approx(0.1))


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
