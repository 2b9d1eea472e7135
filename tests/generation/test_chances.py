"""Estimates of what the next sample gives, against counts by hand and brute force."""

import math
import random

import numpy as np
import pytest

from forkpipe.generation.chances import CONCENTRATIONS, PSEUDO, Correctness, Sameness, at_least, novelty


def test_the_chance_of_at_least_k_is_that_of_the_binomial_distribution():
    for n in (0, 1, 3, 7):
        for k in range(5):
            for p in (0.0, 0.2, 0.9):
                whole = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))
                (chance,) = at_least(np.array([k]), np.array([float(n)]), np.array([p]))
                assert chance == pytest.approx(whole, abs=1e-12)


def counts(rates, samples, seed=0):
    """Draw (samples, correct) of problems with (problems, teachers) rates."""
    chance = random.Random(seed)
    correct = [[sum(chance.random() < rate for _ in range(samples)) for rate in row] for row in rates]
    return np.full((len(rates), len(rates[0])), samples), np.array(correct)


def test_hard_problems_and_weak_teachers_are_told_apart():
    samples, correct = counts([[0.95, 0.7]] * 60 + [[0.5, 0.05]] * 60, samples=3)
    fitted = Correctness(samples, correct)
    easy, hard = fitted.chance[:60].mean(0), fitted.chance[60:].mean(0)
    assert easy == pytest.approx([0.95, 0.7], abs=0.12)
    assert hard == pytest.approx([0.5, 0.05], abs=0.12)
    assert (fitted.doubt > 0).all()


def test_a_teacher_that_is_better_for_hard_problems_alone_is_found():
    known, known_correct = counts([[0.95, 0.6, 0.9]] * 100 + [[0.1, 0.6, 0.15]] * 100, samples=2)
    known[0:200:10, :2] = known_correct[0:200:10, :2] = 0  # only the third was asked
    fitted = Correctness(known, known_correct)
    hard = [at for at in range(100, 200, 10) if known_correct[at, 2] == 0]
    assert (fitted.chance[hard, 1] > fitted.chance[hard, 0]).all()
    easy = [at for at in range(0, 100, 10) if known_correct[at, 2] == 2]
    assert (fitted.chance[easy, 0] > fitted.chance[easy, 1]).all()


def test_samples_that_repeat_the_first_are_told_from_independent_ones():
    chance = random.Random(1)
    first = np.array([[chance.random() < 0.5 for _ in range(3)] for _ in range(80)], np.int64)
    repeating = Correctness(np.full((80, 3), 4), 4 * first)
    independent = Correctness(*counts([[0.5] * 3] * 80, samples=4))
    wrong = first == 0
    # After four wrong samples another one is hopeless if samples repeat, and less so if they do not.
    assert repeating.chance[wrong].max() < 0.15
    assert independent.chance.min() > 0.2
    assert CONCENTRATIONS[0] < CONCENTRATIONS[-1]


def test_nothing_known_is_even_and_costs_are_averaged():
    samples = np.zeros((4, 2), np.int64)
    fitted = Correctness(samples, samples)
    assert fitted.chance == pytest.approx(0.5)
    assert fitted.averages(np.zeros((4, 2)), samples) == pytest.approx(0.0)
    samples, correct = counts([[0.9, 0.1]] * 50, samples=2)
    costs = samples * np.array([1.0, 5.0])
    assert Correctness(samples, correct).averages(costs, samples).mean(0) == pytest.approx([1.0, 5.0], rel=0.05)


def test_pairs_in_one_cluster_are_counted_and_taken_back():
    sameness = Sameness(2)
    start = sameness.same().copy()
    assert start == pytest.approx(0.5)
    members = [(0, 0), (0, 0), (1, 1)]  # two of the first teacher in one cluster, one of the second in another
    sameness.count(members, 1)
    # One pair within the first teacher, the same: assumed (1 + 1) / (1 + 2). Two pairs across, different: 1 / (2 + 2).
    assumed_own, assumed_other = 2 / 3, 1 / 4
    assert sameness.same()[0, 0] == pytest.approx((1 + PSEUDO * assumed_own) / (1 + PSEUDO))
    assert sameness.same()[1, 1] == pytest.approx(assumed_own)
    assert sameness.same()[0, 1] == sameness.same()[1, 0] == pytest.approx(PSEUDO * assumed_other / (2 + PSEUDO))
    sameness.count(members, -1)
    assert sameness.same() == pytest.approx(start)


def test_a_strategy_is_new_if_it_is_none_of_those_there_are():
    same = np.array([[0.9, 0.2], [0.2, 0.6]])
    assert novelty([], same).tolist() == [1, 1]
    assert novelty([(0, 0)], same) == pytest.approx([0.1, 0.8])
    # Cluster 0 has a trace of each teacher, cluster 1 one of the second.
    assert novelty([(0, 0), (1, 0), (1, 1)], same) == pytest.approx([0.45 * 0.8, 0.6 * 0.4])


def test_repeated_texts_make_another_sample_of_their_teacher_worth_little():
    sameness = Sameness(2)
    for _ in range(20):
        sameness.count_repeat(0, fresh=False)
        sameness.count_repeat(1, fresh=True)
    assert sameness.fresh()[0] < 0.15
    assert sameness.fresh()[1] > 0.85
