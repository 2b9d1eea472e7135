"""Which trace follows which forking tag: the bipartite matching of SSFT (paper, section on SSFT, step 2).

Costs are numpy arrays, so no gradient flows through them. A matching is an array with the tag of each trace. SSFT and
its baselines differ only in this array. With `optimal` and `random` no two traces of a problem share a tag; with
`fixed` (mode conditioning) traces of the same mode do.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from forkpipe.core.records import Gaps

Costs = NDArray[np.float64]
Tags = NDArray[np.int64]


def _check(costs: Costs) -> None:
    if costs.ndim != 2:
        raise ValueError(f"costs have shape {costs.shape}, expected (tags, traces)")
    n_tags, n_traces = costs.shape
    if n_traces > n_tags:
        raise ValueError(f"{n_traces} traces cannot have distinct tags among {n_tags}")
    if not np.isfinite(costs).all():
        raise ValueError("costs hold values that are not finite")


def match_optimal(costs: Costs) -> Tags:
    """Return the injection trace -> tag of least total cost.

    Args:
        costs: (N tags, M traces), mean negative log-likelihood of a trace's prefix after a tag, nats a token; M <= N.

    Returns:
        (M,) tag of each trace. scipy's solver is deterministic, so ties are resolved the same way in every run.

    >>> match_optimal(np.array([[1.0, 9.0], [2.0, 3.0], [8.0, 8.0]])).tolist()
    [0, 1]
    """
    _check(costs)
    tags, traces = linear_sum_assignment(costs)
    result = np.empty(costs.shape[1], dtype=np.int64)
    result[traces] = tags
    return result


def match_random(n_tags: int, n_traces: int, generator: np.random.Generator) -> Tags:
    """Return a random injection trace -> tag, (M,): the SSFT-random baseline."""
    if n_traces > n_tags:
        raise ValueError(f"{n_traces} traces cannot have distinct tags among {n_tags}")
    return generator.permutation(n_tags)[:n_traces].astype(np.int64)


def match_fixed(modes: Sequence[str], tag_of: Mapping[str, int]) -> Tags:
    """Return the tag of each trace's mode, (M,): the mode-conditioning baseline, where modes are known beforehand."""
    return np.array([tag_of[mode] for mode in modes], dtype=np.int64)


def tags_of_modes(modes: Iterable[str], n_tags: int) -> dict[str, int]:
    """Give each mode a tag, in sorted order; if there are more modes than tags, modes share tags in rotation.

    >>> tags_of_modes(["peasant", "cycle", "peasant"], 6)
    {'cycle': 0, 'peasant': 1}
    """
    return {mode: i % n_tags for i, mode in enumerate(sorted(set(modes)))}


def is_due(visit: int, every: int, gaps: Gaps = "even") -> bool:
    """Tell whether a problem is matched at this visit, counted from 0.

    Args:
        every: k, the most visits from one matching to the next.
        gaps: even: at the visits 0, k, 2k, ...; doubling: the gaps are 1, 1, 2, 4 and so on up to k.

    >>> [visit for visit in range(14) if is_due(visit, 4, "doubling")]
    [0, 1, 2, 4, 8, 12]
    """
    if gaps == "even":
        return visit % every == 0
    matched = 0
    while matched < visit and matched < every:
        matched += min(every, max(1, matched))
    return matched == visit or (matched < visit and (visit - matched) % every == 0)


def total_cost(costs: Costs, tags: Tags) -> float:
    """Return the sum of the costs of a matching, nats a token summed over traces."""
    return float(costs[tags, np.arange(len(tags))].sum())


def margins(costs: Costs, tags: Tags) -> list[float | None]:
    """Return, for each trace, by how much the total cost rises if the trace may not have its tag.

    The margin of trace j is the least total cost of an injection that does not give j the tag `tags[j]`, minus the
    cost of `tags`. It is None if no such injection exists (one tag, or no other tag left). No margin of an optimal
    matching is negative. If a margin is near zero, another tag would have done as well.

    >>> margins(np.array([[1.0, 9.0], [2.0, 3.0], [8.0, 8.0]]), np.array([0, 1]))
    [6.0, 5.0]
    """
    _check(costs)
    least = total_cost(costs, tags)
    result: list[float | None] = []
    for trace, tag in enumerate(tags):
        forbidden = costs.copy()
        forbidden[tag, trace] = np.inf
        try:
            rows, columns = linear_sum_assignment(forbidden)
        except ValueError:  # scipy's "cost matrix is infeasible": no other injection exists
            result.append(None)
            continue
        result.append(float(forbidden[rows, columns].sum()) - least)
    return result
