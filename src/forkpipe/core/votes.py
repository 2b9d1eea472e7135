"""Votes and passes of sets that a policy draws: a fixed number of samples from each of some strata.

The strata are the tags of a policy that asks under several, or all samples in one. A set holds `take[t]` of the samples
of stratum t, drawn without replacement; every function returns an expectation over all such sets, so the order of
samples does not matter. `core.metrics` has the special cases of one stratum, and of one sample a tag.
"""

from collections.abc import Sequence
from math import comb, prod

import numpy as np
import numpy.typing as npt

from forkpipe.core.metrics import plurality

ENUMERATE_UP_TO = 4096
"""`expected_vote` is exact if this many combinations make up all sets, and draws that many sets otherwise."""

Vote = tuple[int | str | None, bool]
"""What a sample votes for (None if it abstains), and whether that is correct."""


def expected_pass(correct: Sequence[Sequence[bool]], take: Sequence[int]) -> float:
    """Return the chance that a set holds a correct sample: 1 - prod over strata of C(n_t - c_t, k_t) / C(n_t, k_t).

    Args:
        correct: whether each sample is correct, a list a stratum.
        take: how many samples of each stratum a set holds, at most as many as there are.

    Raises:
        ValueError: a stratum holds too few samples.

    >>> expected_pass([[True, False, False, False]], [2])
    0.5
    """
    _check([len(stratum) for stratum in correct], take)
    none = [
        comb(len(stratum) - sum(stratum), k) / comb(len(stratum), k) for stratum, k in zip(correct, take, strict=True)
    ]
    # Sorted, since the last digit of a product of floats depends on the order of the factors.
    return 1.0 - float(prod(sorted(none)))


def expected_vote(strata: Sequence[Sequence[Vote]], take: Sequence[int], seed: int = 0) -> float:
    """Return the expected score of a plurality vote among a set.

    Of the answers tied for most votes, the share that is correct counts; a set in which all abstain scores 0.

    Args:
        strata: the votes, a list a stratum; votes of one answer must agree on whether it is correct.
        take: how many samples of each stratum a set holds, at most as many as there are.
        seed: of the draws, if any.

    Raises:
        ValueError: a stratum holds too few samples, or there is none.

    >>> expected_vote([[(7, True), (9, False), (9, False)]], [2])
    0.3333333333333333
    """
    _check([len(stratum) for stratum in strata], take)
    winners = {answer for stratum in strata for answer, right in stratum if right and answer is not None}
    # Ordered by what matters (how often each is given in which stratum), not by name: the draws must not depend on it.
    counts: dict[int | str, list[int]] = {}
    for t, stratum in enumerate(strata):
        for answer, _ in stratum:
            if answer is not None:
                counts.setdefault(answer, [0] * len(strata))[t] += 1
    if not counts:
        return 0.0
    answers = sorted(counts, key=lambda answer: (answer in winners, counts[answer]))
    table = np.array([counts[answer] for answer in answers], dtype=np.int64).T
    abstained = np.array([len(stratum) for stratum in strata]) - table.sum(axis=1)
    votes, weights = _sets(np.column_stack([table, abstained]), take, seed)
    correct = np.array([answer in winners for answer in answers])
    return float(weights @ plurality(votes[:, :-1], correct))


def _sets(
    table: npt.NDArray[np.int64], take: Sequence[int], seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the number of votes for each answer in S sets (S, A), and the chance of each set (S,).

    Args:
        table: how often each answer is given in each stratum, (T, A).
    """
    parts = []
    combinations = 1
    for row, k in zip(table, take, strict=True):
        part = _part(row.tolist(), k, ENUMERATE_UP_TO // combinations)
        if part is None:
            rng = np.random.default_rng(seed)
            drawn = [
                rng.multivariate_hypergeometric(row, k, size=ENUMERATE_UP_TO)
                for row, k in zip(table, take, strict=True)
            ]
            return np.sum(drawn, axis=0), np.full(ENUMERATE_UP_TO, 1.0 / ENUMERATE_UP_TO)
        parts.append(part)
        combinations *= len(part[1])
    votes, weights = np.zeros((1, table.shape[1]), dtype=np.int64), np.ones(1)
    for counts, chances in parts:
        votes = (votes[:, None] + counts[None]).reshape(-1, table.shape[1])
        weights = (weights[:, None] * chances[None]).reshape(-1)
    return votes, weights


def _part(counts: Sequence[int], k: int, most: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]] | None:
    """Return all ways to take k of some answers given so often, (S, A), and their chances (S,); None if over `most`."""
    ways: list[tuple[int, ...]] = [()]
    left_after = [sum(counts[place + 1 :]) for place in range(len(counts))]
    for place, count in enumerate(counts):
        longer = []
        for way in ways:
            open_places = k - sum(way)
            least, largest = max(0, open_places - left_after[place]), min(count, open_places)
            longer += [(*way, taken) for taken in range(least, largest + 1)]
        if len(longer) > most:
            return None
        ways = longer
    total = comb(sum(counts), k)
    chances = [prod(map(comb, counts, way)) / total for way in ways]
    return np.array(ways, dtype=np.int64), np.array(chances)


def _check(sizes: Sequence[int], take: Sequence[int]) -> None:
    if not sizes or len(sizes) != len(take):
        raise ValueError(f"{len(sizes)} strata and {len(take)} numbers to take, expected as many and at least one")
    for size, k in zip(sizes, take, strict=True):
        if not 1 <= k <= size:
            raise ValueError(f"{k} samples of a stratum of {size}, expected 1 to {size}")
