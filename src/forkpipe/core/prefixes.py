"""The prefix length L: how many tokens of each trace the matching looks at (paper, section on SSFT, step 1).

The paper uses one L for all problems (about 1000 tokens). A short L tells traces apart badly, since many begin alike; a
long L costs time. `divergence_length` finds the shortest L at which a problem's traces differ.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations


def divergence_length(traces: Sequence[Sequence[int]], tokens: int, cap: int) -> int:
    """Return the least L at which every two traces differ by `tokens` tokens, at most `cap`.

    Two prefixes differ by d tokens if d tokens of one, counted with repetition, are not in the other. Counting unequal
    positions instead would go wrong if one trace has an extra word at the start, which shifts all later tokens.

    Args:
        traces: token ids of each trace of a problem.
        tokens: d, at least 1.
        cap: the largest L, returned for a single trace too; if all traces are shorter, the length of the longest.

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
    missing = 0  # sum of the absolute surpluses: tokens that the other trace lacks
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
