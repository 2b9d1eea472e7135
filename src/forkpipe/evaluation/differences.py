"""Differences between methods, problem by problem, so that problems hard for both cancel out."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from forkpipe.core.statistics import paired_difference
from forkpipe.evaluation.metrics import Rows, headline
from forkpipe.evaluation.samples import best_tags, load_pools
from forkpipe.parameters.methods import METHODS

PAIRS = [
    (name, method.versus[rank])
    for rank in range(max(len(method.versus) for method in METHODS.values()))
    for name, method in reversed(METHODS.items())
    if rank < len(method.versus)
]
"""The differences that are reported: each method and its baselines, the last method's first baseline first."""


def paired_differences(
    scores: Sequence[pa.Table],
    comparison: Rows,
    *,
    resamples: int,
    seed: int,
    pairs: Sequence[tuple[str, str]] = PAIRS,
) -> list[dict[str, Any]]:
    """Return the differences of pairs of methods in pass@1 on test, each under its headline policy, by problem.

    Rows have a, b, policy_a, policy_b, value (mean of a - b), low, high, n_problems; pairs of which a method was not
    evaluated are left out. InputError if samples are missing (see `samples.load_pools`).
    """
    pools = load_pools(scores)
    best = best_tags(pools)
    policies = {row["method"]: row["policy"] for row in headline(comparison)}
    values = {}
    for pool in pools:
        policy = policies.get(pool.method)
        if policy and pool.split == "test" and (pool.policy == "own") == (policy == "own"):
            values[pool.method] = pool.accuracy(best[pool.method] if policy == "best_tag" else None)
    rows = []
    for a, b in pairs:
        if a in values and b in values:
            value, low, high = paired_difference(values[a], values[b], resamples, seed)
            named = {"a": a, "b": b, "policy_a": policies[a], "policy_b": policies[b]}
            rows.append(named | {"value": value, "low": low, "high": high, "n_problems": len(values[a])})
    return rows
