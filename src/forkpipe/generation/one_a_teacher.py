"""Chooses one trace of each teacher for a problem, so that the traces of a set differ as much as they can.

The traces of different teachers need not show different strategies: the set says how many it holds. Only a trace whose
words are nearly those of a chosen one is passed over.
"""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NamedTuple

from forkpipe.core.rows import StrategyRow
from forkpipe.core.shingles import jaccard, shingles

WORDS = 3
"""Words of the runs by which two texts are compared."""

Apart = Callable[[StrategyRow, StrategyRow], float]
"""The distance between two traces of a problem, 0 to 1."""


class NearIdentical(NamedTuple):
    """A trace that was passed over, the chosen trace that is nearly the same, and the share of words they share."""

    trace_id: str
    chosen: str
    similarity: float


def distances_between(rows: Sequence[StrategyRow]) -> Apart:
    """Return the distance between any two traces of a problem.

    Args:
        rows: all rows of `strategies` of the problem, in their order. Where they have no distances, traces are 1 apart
            if their strategies differ and 0 if not.
    """
    position = {row["trace_id"]: index for index, row in enumerate(rows)}

    def apart(a: StrategyRow, b: StrategyRow) -> float:
        first, second = sorted((a, b), key=lambda row: position[row["trace_id"]])
        earlier = second.get("distances_to_earlier")
        if earlier is None:
            return float(a["strategy"] != b["strategy"])
        return float(earlier[position[first["trace_id"]]])

    return apart


class Wording:
    """Compares texts by their words, whatever case and white space.

    >>> Wording(["So the answer is 5", "so  the answer\\nis 5"]).similarity(0, 1)
    1.0
    >>> Wording(["3 + 4 = 7 eggs", "3 + 4 = 8 eggs"]).similarity(0, 1)
    0.3333333333333333
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._runs: dict[int, frozenset[str]] = {}

    def similarity(self, a: int, b: int) -> float:
        """Return the share of runs of three words that two texts, by their index, have in common (Jaccard)."""
        return jaccard(self._of(a), self._of(b))

    def _of(self, index: int) -> frozenset[str]:
        if index not in self._runs:
            self._runs[index] = shingles(" ".join(self._texts[index].casefold().split()), WORDS)
        return self._runs[index]


def one_a_teacher(
    drawn: Sequence[StrategyRow],
    teachers: Sequence[str],
    texts: Sequence[str],
    apart: Apart,
    most: int,
    near_identical: float | None,
) -> tuple[list[StrategyRow], list[NearIdentical]]:
    """Return (at most `most` traces, each of another teacher, in the order of choice; traces that were passed over).

    The first two are the traces of two teachers that are furthest apart. Then follows, again and again, the trace of a
    further teacher whose distance to the nearest chosen trace is largest. Of equals the first drawn is taken. A single
    trace is returned if no second one can go with it.

    Args:
        drawn: the correct traces of one problem, in the order of a draw.
        teachers: their teachers, in the same order.
        texts: their texts, in the same order.
        near_identical: the `similarity` from which a trace is passed over for a chosen one; None passes over none.
    """
    wording = Wording(texts)

    def nearly_same(index: int, chosen: Sequence[int]) -> NearIdentical | None:
        """Return what makes a trace nearly the same as the first of the chosen ones that it resembles so much."""
        if near_identical is None:
            return None
        shares = ((other, wording.similarity(index, other)) for other in chosen)
        return next(
            (
                NearIdentical(drawn[index]["trace_id"], drawn[other]["trace_id"], share)
                for other, share in shares
                if share >= near_identical
            ),
            None,
        )

    pairs = [(a, b) for a, b in combinations(range(len(drawn)), 2) if teachers[a] != teachers[b]]
    pairs.sort(key=lambda pair: -apart(drawn[pair[0]], drawn[pair[1]]))  # stable: the first drawn of equals
    chosen = list(next(((a, b) for a, b in pairs if nearly_same(b, [a]) is None), range(len(drawn))[:1]))
    passed: list[NearIdentical] = []
    left = [index for index in range(len(drawn)) if teachers[index] not in {teachers[other] for other in chosen}]
    while left and len(chosen) < most:
        best = max(left, key=lambda index: min(apart(drawn[index], drawn[other]) for other in chosen))
        left.remove(best)
        same = nearly_same(best, chosen)
        if same is not None:
            passed.append(same)
            continue
        chosen.append(best)
        left = [index for index in left if teachers[index] != teachers[best]]
    return [drawn[index] for index in chosen], passed
