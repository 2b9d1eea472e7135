"""What the next sample of a teacher is likely to give a problem, estimated from all samples so far."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DIFFICULTIES = np.linspace(-4.0, 4.0, 9)
"""Classes of difficulty, in log-odds: a teacher with rate 1/2 solves a problem of class d with odds exp(-d)."""
SPREAD = 1.5
"""Standard deviation of difficulty that is assumed before anything is known."""
STEPS = 12
"""Steps of expectation maximisation, from the same start each time, so that results depend on the data alone."""
PSEUDO = 4.0
"""Samples that an assumption counts as."""
CONCENTRATIONS = (0.5, 1.0, 2.0, 4.0, 8.0, 32.0)
"""How little the samples of one teacher for one problem may resemble one another: at 0.5 they nearly repeat."""


class Correctness:
    """Chances that a sample is correct: a latent class model of problems by difficulty, and of teachers by class.

    A teacher's rate in a class is its own, so a teacher may be the better for hard problems only; with few samples it
    is near what its rate over all classes says. Samples of one teacher for one problem resemble one another more than
    the model says, by a concentration that is estimated too (beta-binomial).

    Args:
        samples: (problems, teachers) number of samples.
        correct: (problems, teachers) number of correct ones.
    """

    def __init__(self, samples: NDArray[np.int64], correct: NDArray[np.int64]) -> None:
        n, hits = samples.astype(np.float64), correct.astype(np.float64)
        base = (hits.sum(0) + 1) / (n.sum(0) + 2)
        assumed = _logistic(np.log(base / (1 - base))[:, None] - DIFFICULTIES[None, :])
        prior = np.exp(-0.5 * (DIFFICULTIES / SPREAD) ** 2)
        prior /= prior.sum()
        self.rates, weights = assumed, prior
        for _ in range(STEPS):
            self.classes = _posterior(n, hits, self.rates, weights)
            self.seen = n.T @ self.classes
            self.rates = (hits.T @ self.classes + PSEUDO * assumed) / (self.seen + PSEUDO)
            known = self.classes[n.sum(1) > 0]
            weights = (known.sum(0) + PSEUDO * prior) / (len(known) + PSEUDO)
        self.classes = _posterior(n, hits, self.rates, weights)
        """(problems, classes) chances of the classes."""
        mean = self.classes @ self.rates.T
        concentration = _concentration(n, hits, mean)
        self.chance = (concentration * mean + hits) / (concentration + n)
        """(problems, teachers) chance that the next sample is correct."""
        self.scale = self.chance / mean
        """(problems, teachers) the same over what the class of the problem says."""
        evidence = self.classes @ self.seen.T + n + PSEUDO
        self.doubt = np.sqrt(self.chance * (1 - self.chance) / evidence)
        """(problems, teachers) standard error of `chance`."""

    def averages(self, sums: Floats, samples: NDArray[np.int64]) -> Floats:
        """Return (problems, teachers) expected values a sample, such as costs, from sums over the samples so far."""
        counts, total = samples.sum(0), sums.sum(0)
        over_all = total.sum() / max(counts.sum(), 1)
        mean = (total + over_all) / (counts + 1)
        by_class = (sums.T @ self.classes + PSEUDO * mean[:, None]) / (self.seen + PSEUDO)
        averages: Floats = self.classes @ by_class.T
        return averages


def _logistic(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def _posterior(n: Floats, hits: Floats, rates: Floats, weights: Floats) -> Floats:
    logs = hits @ np.log(rates) + (n - hits) @ np.log1p(-rates) + np.log(weights)
    chances: Floats = np.exp(logs - logs.max(1, keepdims=True))
    return chances / chances.sum(1, keepdims=True)


def _concentration(n: Floats, hits: Floats, mean: Floats) -> float:
    """Return the concentration of the beta-binomial distribution under which repeated samples are most likely."""
    several = n > 1
    if not several.any():
        return PSEUDO
    n, hits, mean = n[several], hits[several], mean[several]

    def likelihood(k: float) -> float:
        total = np.zeros(len(n))
        for i in range(int(n.max())):
            total += np.where(i < hits, np.log(k * mean + i), 0)
            total += np.where(i < n - hits, np.log(k * (1 - mean) + i), 0)
            total -= np.where(i < n, np.log(k + i), 0)
        return round(float(total.sum()), 6)

    return max(CONCENTRATIONS, key=likelihood)


class Sameness:
    """Chances that a correct trace shows a strategy that its problem does not have yet.

    They follow from how often correct traces of two teachers, or two of the same, were in one cluster.
    """

    def __init__(self, teachers: int) -> None:
        self._pairs = np.zeros((teachers, teachers))
        self._same = np.zeros((teachers, teachers))
        self._repeats = np.zeros(teachers)
        self._fresh = np.zeros(teachers)

    def count(self, members: Sequence[tuple[int, int]], sign: int) -> None:
        """Add (1) or take back (-1) the pairs of a problem.

        Args:
            members: (teacher, strategy) of each correct trace of the problem.
        """
        for position, (a, strategy) in enumerate(members):
            for b, other in members[:position]:
                for pair in {(a, b), (b, a)}:
                    self._pairs[pair] += sign
                    self._same[pair] += sign * (strategy == other)

    def count_repeat(self, teacher: int, fresh: bool) -> None:
        """Count a correct trace of a teacher that had one for the problem: whether its text was another one."""
        self._repeats[teacher] += 1
        self._fresh[teacher] += fresh

    def fresh(self) -> Floats:
        """Return (teachers,) the chance that another correct trace of the same teacher is another text."""
        over_all = (self._fresh.sum() + 1) / (self._repeats.sum() + 2)
        chances: Floats = (self._fresh + PSEUDO * over_all) / (self._repeats + PSEUDO)
        return chances

    def same(self) -> Floats:
        """Return (teachers, teachers) the chance that traces of both for one problem are in one cluster."""
        own = np.eye(len(self._pairs), dtype=bool)
        assumed = np.empty_like(self._pairs)
        for kind, each in ((own, 1), (~own, 2)):  # a pair of two teachers is counted for both
            assumed[kind] = (self._same[kind].sum() / each + 1) / (self._pairs[kind].sum() / each + 2)
        chances: Floats = (self._same + PSEUDO * assumed) / (self._pairs + PSEUDO)
        return chances


def novelty(members: Sequence[tuple[int, int]], same: Floats) -> Floats:
    """Return (teachers,) the chance that a correct trace has a strategy that a problem does not have yet.

    Args:
        members: (teacher, strategy) of each correct trace of the problem.
        same: see `Sameness.same`.
    """
    chances = np.ones(len(same))
    for strategy in dict.fromkeys(label for _, label in members):
        teachers = [teacher for teacher, label in members if label == strategy]
        chances *= 1 - same[:, teachers].mean(1)
    return chances


def at_least(k: NDArray[np.int64], n: Floats, chance: Floats) -> Floats:
    """Return the chance of at least k successes in n trials, elementwise; `chance` is less than 1."""
    term = (1 - chance) ** n
    below = np.zeros_like(term)
    for i in range(int(k.max(initial=0))):
        below += np.where(i < k, term, 0)
        term = term * np.maximum(n - i, 0) / (i + 1) * chance / (1 - chance)
    return np.clip(1 - below, 0, 1)
