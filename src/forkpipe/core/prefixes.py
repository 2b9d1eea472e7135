"""How much of its traces a problem is matched by: the prefix length L (paper, section on SSFT, step 1).

The paper takes one L for all problems (about 1000 tokens). Costs of traces that begin alike are alike, so a short L
tells nothing; a long one costs time. `divergence_length` finds the shortest L at which a problem's traces differ.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations


def divergence_length(traces: Sequence[Sequence[int]], tokens: int, cap: int) -> int:
    """Return the least L at which every two traces have diverged by `tokens` tokens, at most `cap`.

    Two prefixes have diverged by d tokens when d tokens of one, counted with repetition, are not in the other. Unlike a
    count of unequal positions this is not fooled by one word more at the beginning, which shifts all that follows.

    Args:
        traces: token ids of each trace of a problem.
        tokens: d, at least 1.
        cap: returned where two traces are not that different sooner, and for a single trace; the length of the longest
            trace where that is less.

    >>> divergence_length([[1, 2, 3, 4, 5], [1, 2, 6, 7, 8]], tokens=2, cap=5)
    4
    >>> divergence_length([[1, 2, 3, 4, 5], [9, 1, 2, 3, 4]], tokens=2, cap=5)
    5
    """
    cap = min(cap, max(map(len, traces)))
    if len(traces) < 2:
        return cap
    return max(_pair_divergence(a, b, tokens, cap) for a, b in combinations(traces, 2))


def _pair_divergence(a: Sequence[int], b: Sequence[int], tokens: int, cap: int) -> int:
    surplus: Counter[int] = Counter()  # occurrences in a's prefix less those in b's
    missing = 0  # the sum of the positive surpluses and of the negative ones: tokens that the other side lacks
    for length in range(1, cap + 1):
        for trace, sign in ((a, 1), (b, -1)):
            if length <= len(trace):
                token = trace[length - 1]
                missing += 1 if surplus[token] * sign >= 0 else -1
                surplus[token] += sign
        if missing >= 2 * tokens:
            return length
        if length >= max(len(a), len(b)):
            break
    return cap
