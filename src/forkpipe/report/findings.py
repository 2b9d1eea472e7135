"""What a reader should know first, in sentences: which method is best and how surely, and what the numbers hide."""

from collections import Counter

import pyarrow as pa


def phases_without_signal(training_logs: pa.Table) -> list[tuple[str, str]]:
    """Return (method, phase) of each phase of reinforcement learning that skipped all of its groups of rollouts."""
    groups: Counter[tuple[str, str]] = Counter()
    skipped: Counter[tuple[str, str]] = Counter()
    if "groups" in training_logs.column_names:
        for row in training_logs.select(["method", "phase", "groups", "groups_skipped"]).to_pylist():
            if row["groups"]:
                key = (row["method"], row["phase"] or "")
                groups[key] += row["groups"]
                skipped[key] += row["groups_skipped"] or 0
    return [key for key in groups if groups[key] == skipped[key]]
