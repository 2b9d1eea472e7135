"""Differences between methods, problem by problem, so that problems hard for both cancel out."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow as pa

from forkpipe.core.statistics import paired_difference
from forkpipe.evaluation.metrics import Rows, headline
from forkpipe.evaluation.samples import best_tags, by_seed, load_pools
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

    Rows have a, b, policy_a, policy_b, value (mean of a - b), low, high, n_problems, and seeds: the mean of a - b with
    each training seed. With several seeds, the values of a problem are averaged over them. Pairs of which a method was
    not evaluated are left out. InputError if samples are missing (see `samples.load_pools`).
    """
    policies = {row["method"]: row["policy"] for row in headline(comparison)}
    trained: dict[int | None, list[pa.Table]] = {}
    for table in scores:
        for of, part in by_seed(table).items():
            trained.setdefault(of, []).append(part)
    by_method: dict[str, list[list[float]]] = {}
    for tables in trained.values():
        for method, values in _accuracies(tables, policies).items():
            by_method.setdefault(method, []).append(values)
    averaged = {method: np.mean(values, axis=0).tolist() for method, values in by_method.items()}
    rows = []
    for a, b in pairs:
        if a in averaged and b in averaged:
            value, low, high = paired_difference(averaged[a], averaged[b], resamples, seed)
            seeds = [fmean(x) - fmean(y) for x, y in zip(by_method[a], by_method[b], strict=True)]
            named = {"a": a, "b": b, "policy_a": policies[a], "policy_b": policies[b], "seeds": seeds}
            rows.append(named | {"value": value, "low": low, "high": high, "n_problems": len(averaged[a])})
    return rows


def _accuracies(scores: Sequence[pa.Table], policies: Mapping[str, str]) -> dict[str, list[float]]:
    """Return each method's accuracy on each test problem, under its policy, for one training seed."""
    pools = load_pools(scores)
    best = best_tags(pools)
    accuracies = {}
    for pool in pools:
        policy = policies.get(pool.method)
        if policy and pool.split == "test" and (pool.policy == "own") == (policy == "own"):
            accuracies[pool.method] = pool.accuracy(best[pool.method] if policy == "best_tag" else None)
    return accuracies
