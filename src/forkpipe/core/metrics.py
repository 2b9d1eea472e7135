"""Metrics of one problem's samples: pass@k, cons@k, and their native forms with one sample under each tag.

Every function takes the samples of one problem and returns a number in [0, 1]. The order of the samples does not
matter: a tied vote scores the average of the tied answers, and estimates draw from sorted votes with a given seed.
Missing samples are an error and never count as zero.

A vote is the text of an answer, or None if the sample abstains (no answer found, cut, failed). An answer is correct if
any vote with that text is correct.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

ENUMERATE_UP_TO = 4096
"""`native_cons` is exact up to this many combinations of distinct votes, and draws that many beyond it."""

Counts = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the chance that k of n samples, drawn without replacement, hold a correct one.

    This is the unbiased estimator 1 - C(n-c, k) / C(n, k) of Chen et al. 2021 (arXiv 2107.03374), computed as a product
    to avoid overflow and cancellation.

    Args:
        n: number of samples.
        c: number of correct samples, 0 to n.
        k: number of samples drawn, 1 to n.

    Raises:
        ValueError: k or c is out of range; with fewer than k samples there is no unbiased estimate.

    >>> round(pass_at_k(4, 1, 2), 6)
    0.5
    """
    if not 1 <= k <= n:
        raise ValueError(f"pass@{k} needs 1 <= k <= n, there are n = {n} samples")
    if not 0 <= c <= n:
        raise ValueError(f"pass@{k}: {c} correct of {n} samples")
    if n - c < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def majority(votes: Sequence[str | None], correct: Sequence[bool]) -> float:
    """Return the score of a plurality vote: of the answers tied for most votes, the share that is correct.

    Args:
        votes: the answer of each sample, None if it abstains; the score is 0 if all abstain.
        correct: whether each vote is correct, aligned with `votes`.

    Raises:
        ValueError: the two differ in length, or are empty.

    >>> majority(["7", "7", "9", "9", None], [True, True, False, False, False])
    0.5
    """
    counts, answer_correct, _ = _answers(votes, correct)
    return float(plurality(counts[None, :], answer_correct)[0])


def cons_at_k(votes: Sequence[str | None], correct: Sequence[bool], k: int, draws: int = 256, seed: int = 0) -> float:
    """Return the expected score of a vote among k of the samples, drawn without replacement.

    Exact for k = 1 and for k = n, otherwise the mean over `draws` seeded draws. The number of times each answer is
    drawn follows a hypergeometric distribution over the answers' counts, so neither the order of the samples nor the
    wording of the answers affects the draws.

    Args:
    votes: the answer of each sample, None if it abstains.
    correct: whether each vote is correct, aligned with `votes`.
    k: votes in a draw, 1 to n.

    Raises:
        ValueError: k or draws is out of range, or the inputs differ in length.
    """
    counts, answer_correct, abstained = _answers(votes, correct)
    n = len(votes)
    if not 1 <= k <= n:
        raise ValueError(f"cons@{k} needs 1 <= k <= n, there are n = {n} samples")
    if draws < 1:
        raise ValueError(f"cons@{k} needs at least one draw, got {draws}")
    if k == n:
        return float(plurality(counts[None, :], answer_correct)[0])
    if k == 1:
        return float(counts[answer_correct].sum() / n)
    order = np.lexsort((counts, answer_correct))
    counts, answer_correct = counts[order], answer_correct[order]
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(np.append(counts, abstained), k, size=draws)
    return float(plurality(drawn[:, :-1], answer_correct).mean())


def native_cons(
    votes_by_tag: Sequence[Sequence[str | None]], correct_by_tag: Sequence[Sequence[bool]], seed: int = 0
) -> float:
    """Return the expected score of a vote among N samples, one under each of N tags.

    The expectation is over an independent, uniform choice of one sample under every tag, so neither the order of the
    samples nor the order of the tags matters. The usual way, pairing the s-th samples of all tags, estimates the same
    number and depends on the order. Exact if the distinct votes make at most `ENUMERATE_UP_TO` combinations, otherwise
    the mean over that many seeded draws from the sorted votes.

    Args:
        votes_by_tag: the votes under each tag, N lists of at least one.
        correct_by_tag: whether each vote is correct, aligned with `votes_by_tag`.
        seed: of the draws, if any.

    Raises:
        ValueError: there is no tag, a tag without samples, or a difference in length.
    """
    _check_tags(votes_by_tag, correct_by_tag)
    winners = {
        vote
        for votes, correct in zip(votes_by_tag, correct_by_tag, strict=True)
        for vote, right in zip(votes, correct, strict=True)
        if right and vote is not None
    }
    answers = sorted({vote for votes in votes_by_tag for vote in votes if vote is not None})
    if not answers:
        return 0.0
    # Abstaining gets a column after the answers, which is dropped before the vote.
    column: dict[str | None, int] = {answer: index for index, answer in enumerate(answers)} | {None: len(answers)}
    picks, weights = _one_of_each(sorted(sorted(column[vote] for vote in votes) for votes in votes_by_tag), seed)
    counts = np.zeros((picks.shape[1], len(answers) + 1), dtype=np.int64)
    for tag_picks in picks:
        counts[np.arange(len(tag_picks)), tag_picks] += 1
    answer_correct = np.array([answer in winners for answer in answers])
    return float(weights @ plurality(counts[:, :-1], answer_correct))


def native_pass(correct_by_tag: Sequence[Sequence[bool]]) -> float:
    """Return the chance that one sample under each tag holds a correct one: 1 - prod over tags of (1 - accuracy).

    Args:
        correct_by_tag: whether each sample is correct, one list of at least one a tag.

    Raises:
        ValueError: there is no tag, or a tag without samples.

    >>> native_pass([[True, False], [True, False]])
    0.75
    """
    _check_tags(correct_by_tag, correct_by_tag)
    # Sorted, since the last digit of a product of floats depends on the order of the factors.
    return float(1.0 - np.prod(np.sort([1.0 - np.mean(correct) for correct in correct_by_tag])))


def _answers(votes: Sequence[str | None], correct: Sequence[bool]) -> tuple[Counts, Bools, int]:
    """Return the counts of the A answers (A,), whether each is correct (A,), and the number of abstentions."""
    if not votes or len(votes) != len(correct):
        raise ValueError(f"{len(votes)} votes and {len(correct)} judgements, expected as many and at least one")
    counts: dict[str, int] = {}
    winners: set[str] = set()
    for vote, right in zip(votes, correct, strict=True):
        if vote is not None:
            counts[vote] = counts.get(vote, 0) + 1
            if right:
                winners.add(vote)
    answer_correct = np.array([answer in winners for answer in counts], dtype=np.bool_)
    numbers = np.array(list(counts.values()), dtype=np.int64)
    return numbers, answer_correct, len(votes) - int(numbers.sum())


def plurality(counts: Counts, answer_correct: Bools) -> npt.NDArray[np.float64]:
    """Score S votes over A answers: counts (S, A), answer_correct (A,) -> (S,), ties averaged, no votes 0."""
    if counts.shape[1] == 0:
        return np.zeros(counts.shape[0])
    tied = (counts == counts.max(axis=1, keepdims=True)) & (counts > 0)
    share: npt.NDArray[np.float64] = (tied & answer_correct).sum(axis=1) / np.maximum(tied.sum(axis=1), 1)
    return share


def _one_of_each(tags: list[list[int]], seed: int) -> tuple[Counts, npt.NDArray[np.float64]]:
    """Return S choices of one item of each of N sorted lists (N, S), and the chance of each choice (S,)."""
    distinct = [np.unique(np.asarray(tag), return_counts=True) for tag in tags]
    if np.prod([float(len(values)) for values, _ in distinct]) <= ENUMERATE_UP_TO:
        # Not with np.meshgrid, which has at most 32 dimensions.
        values = np.array([*product(*(values for values, _ in distinct))]).T
        return values, np.array([np.prod(c) for c in product(*(counts / counts.sum() for _, counts in distinct))])
    rng = np.random.default_rng(seed)
    picks = np.stack([np.asarray(tag)[rng.integers(len(tag), size=ENUMERATE_UP_TO)] for tag in tags])
    return picks, np.full(ENUMERATE_UP_TO, 1.0 / ENUMERATE_UP_TO)


def _check_tags(first: Sequence[Sequence[object]], second: Sequence[Sequence[bool]]) -> None:
    if not first or not all(first):
        raise ValueError(f"every tag needs at least one sample, got {[len(tag) for tag in first]} by tag")
    if [len(tag) for tag in first] != [len(tag) for tag in second]:
        raise ValueError("votes and judgements differ in number")
