"""Intervals of shares, of means over problems and of differences, and measures of how tags and strategies agree.

No interval has width 0 where all values are alike: 20 problems of which none is solved do not show that none ever is.
"""

import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_CHUNK = 256  # resamples in memory at once; does not change the draws


class Agreement(NamedTuple):
    """Agreement of two labellings of the same items; the names of the labels do not matter."""

    v_measure: float
    """0 to 1; harmonic mean of homogeneity and completeness."""
    adjusted_rand: float
    """-0.5 to 1; about 0 for random labels."""


def wilson_interval(successes: float, trials: float, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval (1927) of a share: of `trials` independent trials `successes` succeeded.

    Args:
        successes: 0 to `trials`.
        trials: above 0; need not be whole.
        level: confidence, in (0, 1).

    Raises:
        ValueError: an argument is out of range.

    >>> [round(end, 3) for end in wilson_interval(0, 10)]
    [0.0, 0.278]
    """
    if not 0.0 < level < 1.0 or not 0 <= successes <= trials or trials <= 0:
        raise ValueError(
            f"a share needs 0 to n successes of n > 0 trials and a level within (0, 1), got {successes} of {trials} "
            f"and {level}"
        )
    share, z = successes / trials, NormalDist().inv_cdf((1.0 + level) / 2.0)
    centre = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    scale = 1 + z * z / trials
    # Rounding must not move an end beyond the share where the two are equal, at 0 and 1.
    return min(share, max(0.0, (centre - half) / scale)), max(share, min(1.0, (centre + half) / scale))


def mean_interval(
    values_per_problem: Sequence[float] | npt.NDArray[np.float64], level: float = 0.95
) -> tuple[float, float]:
    """Return an interval of the mean over problems of values from 0 to 1, each a mean over samples of a problem.

    Wilson's interval with an effective number of trials, as for shares in cluster samples (Korn and Graubard 1998):
    the number of problems, divided by how much the values vary, relative to values that are all 0 or 1 and have the
    same mean. Where they are all 0 or 1 it is Wilson's interval of the number of problems. The variation is measured
    with two more problems, one never and one always solved, so that it has a value where all problems are alike.

    The interval covers the choice of problems, given these samples of this checkpoint. It does not cover training
    seeds.

    Args:
        values_per_problem: one value a problem, at least one, each 0 to 1.
        level: confidence, in (0, 1).

    Raises:
        ValueError: there are no values, or an argument is out of range.
    """
    values = _per_problem(values_per_problem)
    if values.min() < 0.0 or values.max() > 1.0:
        raise ValueError(f"expected values from 0 to 1, got {values.min()} to {values.max()}")
    seen = np.concatenate([values, [0.0, 1.0]])
    trials = values.size * seen.mean() * (1.0 - seen.mean()) / seen.var()
    return wilson_interval(float(values.mean() * trials), float(trials), level)


def bootstrap_interval(
    values_per_problem: Sequence[float] | npt.NDArray[np.float64], resamples: int, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean over problems.

    Problems are resampled, so the interval covers the choice of problems, given these samples of this checkpoint. It
    does not cover training seeds. Which problems are drawn depends only on the seed and the number of problems, so the
    interval of a difference between two methods, computed problem by problem, is paired.

    Args:
        values_per_problem: one value a problem, at least one.
        resamples: number of resamples, at least 1.
        level: share of the resampled means within the interval, in (0, 1).

    Raises:
        ValueError: there are no values, or an argument is out of range.
    """
    values = _per_problem(values_per_problem)
    if resamples < 1 or not 0.0 < level < 1.0:
        raise ValueError(f"resamples must be at least 1 and level within (0, 1), got {resamples} and {level}")
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        means[start : start + size] = values[rng.integers(values.size, size=(size, values.size))].mean(axis=1)
    low, high = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)


def t_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Return Student's t interval of the mean of few independent values, such as one result for each training seed.

    It has width 0 where all values are equal; it then says no more than that the seeds agree.

    Args:
        values: at least two.
        level: confidence, in (0, 1).

    Raises:
        ValueError: there are fewer than two values, or the level is out of range.

    >>> [round(end, 4) for end in t_interval([0.5, 0.6, 0.7])]
    [0.3516, 0.8484]
    """
    from scipy.stats import t  # slow to import, so only where it is used

    if len(values) < 2 or not 0.0 < level < 1.0:
        raise ValueError(f"expected at least two values and a level within (0, 1), got {len(values)} and {level}")
    given = np.asarray(values, dtype=np.float64)
    half = t.ppf((1.0 + level) / 2.0, given.size - 1) * given.std(ddof=1) / math.sqrt(given.size)
    return float(given.mean() - half), float(given.mean() + half)


def paired_difference(a: Sequence[float], b: Sequence[float], resamples: int, seed: int) -> tuple[float, float, float]:
    """Return (mean, low, high) of a - b, problem by problem, with a 95 % bootstrap interval.

    Problems are drawn from those given and two more, one that only a solves and one that only b solves (as Bonett and
    Price 2012 add them for paired proportions). So the interval has a width where a and b agree on every problem.

    Both have one value from 0 to 1 a problem, in the same order; ValueError if they differ in length, or are empty.
    """
    if len(a) != len(b):
        raise ValueError(f"a paired difference needs the same problems on both sides, got {len(a)} and {len(b)}")
    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    _per_problem(differences)
    low, high = bootstrap_interval(np.concatenate([differences, [1.0, -1.0]]), resamples, seed)
    return float(differences.mean()), low, high


def pairs_needed(deviation: float, effect: float, level: float = 0.95, power: float = 0.8) -> int:
    """Return how many pairs of trainings show a difference in the mean that is not zero, at least 2.

    The normal approximation for paired samples: n = ((z_(1 + level) / 2 + z_power) deviation / effect)^2.

    Args:
        deviation: standard deviation of the difference over pairs.
        effect: the true difference that is to be shown, not 0.
        level: confidence of the two-sided interval that is to exclude 0, in (0, 1).
        power: chance that it does, in (0, 1).

    Raises:
        ValueError: an argument is out of range.

    >>> pairs_needed(0.06, 0.03)
    32
    """
    if deviation < 0 or effect == 0 or not 0.0 < level < 1.0 or not 0.0 < power < 1.0:
        raise ValueError(
            "expected a deviation of at least 0, an effect other than 0, level and power within (0, 1), got "
            f"{deviation}, {effect}, {level} and {power}"
        )
    quantiles = NormalDist().inv_cdf((1.0 + level) / 2.0) + NormalDist().inv_cdf(power)
    return max(2, math.ceil((quantiles * deviation / effect) ** 2))


def mutual_information_bits(counts: npt.ArrayLike) -> float:
    """Return the mutual information of rows and columns of a table of counts, in bits.

    The plug-in estimate: 0 for independent rows and columns, at most log2 of min(rows, columns). With n counts it is
    too high by about (rows - 1)(columns - 1) / (2 n ln 2), see `chance_information_bits`.

    Args:
        counts: (rows, columns), at least one count.

    Raises:
        ValueError: counts are negative, not two-dimensional, or all zero.

    >>> mutual_information_bits([[3, 0], [0, 3]])
    1.0
    """
    joint = _checked(counts)
    joint = joint / joint.sum()
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    # Rounding can leave a tiny negative number where there is independence.
    return max(0.0, float((joint[seen] * np.log2(joint[seen] / independent[seen])).sum()))


def chance_information_bits(counts: npt.ArrayLike) -> float:
    """Return the mutual information in bits that this many counts show on average if rows and columns are independent.

    First-order (Miller 1955): (rows - 1)(columns - 1) / (2 n ln 2), over rows and columns that are not empty.

    Raises:
        ValueError: as `mutual_information_bits`.
    """
    table = _checked(counts)
    rows, columns = int((table.sum(axis=1) > 0).sum()), int((table.sum(axis=0) > 0).sum())
    return float((rows - 1) * (columns - 1) / (2.0 * table.sum() * np.log(2.0)))


def purity(counts: npt.ArrayLike) -> float:
    """Return the share of traces that have the commonest label of their tag, in (0, 1].

    Args:
        counts: (tags, labels), at least one count.

    Raises:
        ValueError: counts are negative, not two-dimensional, or all zero.

    >>> purity([[3, 1], [0, 4]])
    0.875
    """
    table = _checked(counts)
    return float(table.max(axis=1).sum() / table.sum())


def clustering_agreement(labels_true: Sequence[Hashable], labels_found: Sequence[Hashable]) -> Agreement:
    """Compare the clusters found among some traces with their known strategies.

    Pass the traces of one problem, then average over problems. Over all problems at once, the problems themselves would
    count as agreement.

    ValueError if the labels differ in length, or are empty.
    """
    if not labels_true or len(labels_true) != len(labels_found):
        raise ValueError(f"{len(labels_true)} true and {len(labels_found)} found labels, expected as many")
    from sklearn.metrics import adjusted_rand_score, v_measure_score

    true, found = ([str(label) for label in labels] for labels in (labels_true, labels_found))
    return Agreement(float(v_measure_score(true, found)), float(adjusted_rand_score(true, found)))


def _per_problem(values: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    checked = np.asarray(values, dtype=np.float64)
    if checked.ndim != 1 or checked.size == 0:
        raise ValueError(f"an interval needs one value a problem and at least one problem, got shape {checked.shape}")
    return checked


def _checked(counts: npt.ArrayLike) -> npt.NDArray[np.float64]:
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or (table < 0).any() or table.sum() == 0:
        raise ValueError(f"expected a table of counts with at least one count, got shape {table.shape}")
    return table
