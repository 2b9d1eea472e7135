"""What a reader should know first, in sentences: which method is best and how surely, and what explains low scores."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from forkpipe.core.records import VERDICTS
from forkpipe.evaluation.samples import CORRECT, method_order, verdict_counts
from forkpipe.parameters.methods import BASE

NOTABLE = 0.3
"""Share of a method's samples from which on a verdict other than correct or wrong is reported."""
NOISY = 0.05
"""Share of matched traces from which on margins below the noise are reported."""

Rows = Sequence[Mapping[str, Any]]


def rivals(rows: Rows) -> list[tuple[str, str]]:
    """Return the pairs of methods that the first sentences compare: the most accurate one with base and with the next.

    Args:
        rows: of `evaluation.metrics.headline`.
    """
    ranked = [row["method"] for row in sorted(rows, key=lambda row: -row["pass_1"])]
    others = ([BASE] if BASE in ranked[1:] else []) + [method for method in ranked[1:] if method != BASE][:1]
    return [(ranked[0], other) for other in others]


def first_sentences(rows: Rows, differences: Rows) -> list[str]:
    """Return which method is the most accurate, by how much, and how sure that is.

    Args:
        rows: of `evaluation.metrics.headline`.
        differences: of `evaluation.differences.paired_differences`, for the pairs that `rivals` names.
    """
    if not rows:
        return ["No method was evaluated."]
    best = max(rows, key=lambda row: row["pass_1"])
    interval = f"95 % interval {_percent(best['pass_1_low'])} to {_percent(best['pass_1_high'])} %"
    if over_seeds := best.get("pass_1_seeds"):
        seeds = f"{_percent(over_seeds[0])} to {_percent(over_seeds[1])} % over seeds"
        interval = f"mean of {best['n_seeds']} training seeds, {interval} over problems and {seeds}"
    if best["pass_1"] == 0:
        return [
            f"No method solved any of {best['n_problems']:,} test problems with a single sample ({interval}). The "
            "verdicts and sample texts below say what the samples lack."
        ]
    sentences = [
        f"{best['method']} is the most accurate with a single sample: {_percent(best['pass_1'])} % of "
        f"{best['n_problems']:,} test problems ({interval})."
    ]
    for row in differences:
        other = f"the untrained model ({row['b']})" if row["b"] == BASE else row["b"]
        interval = f"95 % interval {_points(row['low'])} to {_points(row['high'])}"
        if len(by_seed := row.get("seeds", ())) > 1:
            interval += f"; it is above with {sum(gap > 0 for gap in by_seed)} of {len(by_seed)} training seeds"
        if row["low"] > 0:
            sentences.append(f"It is {_percent(row['value'])} points above {other} ({interval}).")
        else:
            sentences.append(
                f"Whether it is above {other} is open: the difference is {_points(row['value'])} points ({interval})."
            )
    if best.get("n_seeds", 1) == 1:
        sentences.append("All of this is from one training seed; another one may change the order of close methods.")
    return sentences


def explanations(scores: pa.Table, training_logs: pa.Table, matchings: pa.Table) -> list[str]:
    """Return what in verdicts, rewards and matchings explains low scores or alike methods, a sentence each.

    Args:
        scores, training_logs, matchings: the tables of all methods.
    """
    sentences = []
    counts = verdict_counts(scores, "method")
    for verdict in VERDICTS[VERDICTS.index("wrong") + 1 :]:
        shares = {method: count[verdict] / count.total() for (method,), count in counts.items()}
        named = [f"{m} {shares[m]:.0%}" for m in method_order(shares) if shares[m] >= NOTABLE]
        if named:
            sentences.append(f"Many test samples are {_MEANINGS[verdict]}: {', '.join(named)}.")
    methods = method_order(method for (method,) in counts)
    never = [method for method in methods if not counts[(method,)][CORRECT]]
    if never and never != methods:
        sentences.append(f"Without a single correct test sample: {', '.join(never)}.")
    if silent := [f"{method} (phase {phase})" for method, phase in phases_without_signal(training_logs)]:
        sentences.append(
            f"All groups skipped: {', '.join(silent)}. In each group all rollouts earned the same reward, so these "
            "phases had nothing to learn from."
        )
    if noisy := [f"{method} {share:.0%}" for method, share in drawn_by_chance(matchings).items() if share >= NOISY]:
        sentences.append(
            f"Margins below the numerical noise of their costs: {', '.join(noisy)} of the matched traces. Their tags "
            "are drawn by chance."
        )
    return sentences


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


def drawn_by_chance(matchings: pa.Table) -> dict[str, float]:
    """Return, by method, the share of matched traces whose margin is below its noise, of those that have both.

    Tables of earlier versions lack the column `margin_noise`.
    """
    below: dict[str, list[bool]] = {}
    if "margin_noise" in matchings.column_names:
        for row in matchings.select(["method", "margin", "margin_noise"]).to_pylist():
            if row["margin"] is not None and row["margin_noise"] is not None:
                below.setdefault(row["method"], []).append(row["margin"] < row["margin_noise"])
    return {method: sum(marks) / len(marks) for method, marks in below.items()}


_MEANINGS = {
    "unparsed": "unparsed (no answer was found in them)",
    "timeout": "timeouts (the verifier did not come to an end)",
    "truncated": "truncated (cut by the token limit)",
    "failed": "failed (the verifier could not read them)",
}


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "\u2212")
