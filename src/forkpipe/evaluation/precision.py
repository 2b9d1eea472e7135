"""How precise a figure of a benchmark is, and what it can tell apart.

Two questions have two intervals. Over problems: what if other problems of this kind had been asked
(`core.statistics.mean_interval`)? Over samples: what if these problems had been asked again? The second is narrower,
and is the one to compare two runs on the same problems by.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from forkpipe.core.statistics import wilson_interval

Z_LEVEL = 1.959964
"""Two-sided, at the 5 % level."""
Z_POWER = 0.841621
"""Found in 80 % of cases."""


class SamplePrecision(NamedTuple):
    """Precision over samples.

    Attributes:
        low, high: 95 % interval of the mean over these problems.
        detectable: the smallest true difference between two models on these problems that two runs of this size find
            in 80 % of cases, by a test at the 5 % level.
    """

    low: float
    high: float
    detectable: float


def sample_precision(values: Sequence[float], sets: float) -> SamplePrecision | None:
    """Return the precision over samples of a mean over problems, None where each problem has one set only.

    A value that is a mean over all sets of k of n samples varies at most as much as one over n / k sets without common
    samples (Hoeffding 1948), so the interval is exact for single samples (k = 1) and cautious for votes. As many
    problems as there are and one more, whose sets agree by chance, give the variance between the sets of a problem, so
    that the interval has a width where all sets agree.

    Args:
        values: one a problem, 0 to 1, each a mean over `sets` sets.
        sets: number of samples of a problem, divided by the size of a set.
    """
    if sets <= 1:
        return None
    shares = np.asarray(values, dtype=np.float64)
    within = float((shares * (1 - shares)).sum() * sets / (sets - 1))
    variance = (within + 0.25) / (shares.size + 1)
    mean, smoothed = float(shares.mean()), float((shares.sum() + 1) / (shares.size + 2))
    error = variance / (shares.size * sets)
    trials = smoothed * (1 - smoothed) / error
    low, high = wilson_interval(mean * trials, trials)
    return SamplePrecision(low, high, (Z_LEVEL + Z_POWER) * math.sqrt(2 * error))


def detectable_difference(differences: Sequence[float]) -> float:
    """Return the smallest true difference that a paired test over these many problems finds in 80 % of cases.

    The spread of the differences is measured with two more problems, one solved by either side alone, as
    `core.statistics.paired_difference` does.
    """
    seen = np.concatenate([np.asarray(differences, dtype=np.float64), [1.0, -1.0]])
    return float((Z_LEVEL + Z_POWER) * seen.std(ddof=1) / math.sqrt(len(differences)))
