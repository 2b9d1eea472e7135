"""Results of benchmarks as people and the hub read them: tables for a terminal, and `.eval_results/*.yaml`."""

from collections.abc import Mapping, Sequence
from typing import Any

from forkpipe.core.subsets import WHOLE


def format_metrics(rows: Sequence[Mapping[str, Any]], *, subsets: bool = False) -> str:
    """Return metrics as a plain-text table for a terminal, in percent."""
    lines = [["model", "benchmark", "policy", "protocol", "value"]]
    lines[0] += ["over problems", "over samples", "detects", "tokens", "cut", "unread"]
    notes = [""]
    for row in rows:
        if not subsets and row["subset"] != WHOLE:
            continue
        named = row["benchmark"] if row["subset"] == WHOLE else f"{row['benchmark']} {row['subset']}"
        size = f"({row['n_problems']} x {row['n_samples']})"
        lines.append(
            [
                *(row["subject"], f"{named} {size}", row["policy"], row["protocol"]),
                "-" if row["value"] is None else f"{100 * row['value']:.2f}",
                _span(row["problems_low"], row["problems_high"]),
                _span(row["samples_low"], row["samples_high"]),
                "-" if row["detectable"] is None else f"{100 * row['detectable']:.1f}",
                f"{row['tokens']:,.0f}",
                f"{100 * row['truncated']:.1f}",
                f"{100 * row['unscored']:.1f}",
            ]
        )
        notes.append(row.get("note") or "")
    if any(notes):
        lines = [[*line, note] for line, note in zip(lines, notes, strict=True)]
    return _aligned(lines, left=4)


def format_differences(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return differences as a plain-text table for a terminal, in percentage points."""
    lines = [["a", "b", "benchmark", "protocol", "a - b", "over problems", "detects"]]
    for row in rows:
        if row["subset"] == WHOLE:
            sides = [f"{row[side]} {row[f'policy_{side}']}" for side in "ab"]
            figures = [f"{100 * row['value']:+.2f}", _span(row["low"], row["high"]), f"{100 * row['detectable']:.1f}"]
            lines.append([*sides, row["benchmark"], row["protocol"], *figures])
    return _aligned(lines, left=4)


def _span(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"[{100 * low:.1f}, {100 * high:.1f}]"


def _aligned(lines: list[list[str]], left: int) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    lines = [lines[0], ["-" * width for width in widths], *lines[1:]]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def eval_results(
    rows: Sequence[Mapping[str, Any]], datasets: Mapping[str, tuple[str, str | None]], date: str
) -> dict[str, str]:
    """Return the text of `.eval_results/BENCHMARK.yaml` by benchmark, in the form that the hub reads.

    Values are in percent. Notes say policy, protocol, samples and interval. Benchmarks without a data set on the hub
    have no such file: the hub shows figures by data set.

    Args:
        rows: of `benchmark_metrics`, of one subject.
        datasets: benchmark -> (data set on the hub, its commit or None).
        date: when the model was measured, YYYY-MM-DD.
    """
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    entries: dict[str, list[EvalResultEntry]] = {}
    for row in rows:
        if row["subset"] != WHOLE or row["benchmark"] not in datasets or row["value"] is None:
            continue
        dataset, revision = datasets[row["benchmark"]]
        interval = _span(row["problems_low"], row["problems_high"])
        entry = EvalResultEntry(
            dataset_id=dataset,
            task_id=row["benchmark"],
            value=round(100 * row["value"], 2),
            dataset_revision=revision,
            date=date,
            notes=f"{row['protocol']} in percent, policy {row['policy']}, {row['n_samples']} samples a problem, "
            f"95 % interval over problems {interval}" + (f"; {row['note']}" if row.get("note") else ""),
        )
        entries.setdefault(row["benchmark"], []).append(entry)
    return {
        benchmark: yaml.safe_dump(eval_result_entries_to_yaml(listed), sort_keys=False, width=1000)
        for benchmark, listed in entries.items()
    }
