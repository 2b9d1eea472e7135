"""Hold the verdicts of imported traces against labels that stand in the imported file.

python docs/results/compare_labels.py data/import_traces/seed0 FILE --text trace --label correct
"""

import argparse
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from forkpipe.core.read_rows import read_rows


def main() -> None:
    """Print agreement, every disagreement, and how many clusters the problems have."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("file")
    parser.add_argument("--text", default="text")
    parser.add_argument("--label", default="correct")
    given = parser.parse_args()
    labels = {row[given.text].strip(): row[given.label] for _, row in read_rows(given.file)}
    traces = pq.read_table(given.run / "03_primary/traces.parquet").to_pylist()
    verdicts = {row["trace_id"]: row for row in pq.read_table(given.run / "03_primary/verdicts.parquet").to_pylist()}
    problems = {
        row["problem_id"]: row for row in pq.read_table(given.run / "02_intermediate/problems.parquet").to_pylist()
    }
    counts = Counter()
    for trace in traces:
        verdict, label = verdicts[trace["trace_id"]], labels[trace["text"].strip()]
        agrees = (verdict["verdict"] == "correct") == label
        counts[agrees] += 1
        if not agrees:
            problem = problems[trace["problem_id"]]
            print(
                f"{problem['source_id']} {trace['teacher']}: gold {problem['answer']}, label {label}, "
                f"verdict {verdict['verdict']} ({verdict['extracted']!r}), ends {trace['text'][-60:]!r}"
            )
    print(f"{counts[True]} of {len(traces)} agree; verdicts {dict(Counter(v['verdict'] for v in verdicts.values()))}")
    strategies = pq.read_table(given.run / "04_feature/strategies.parquet").to_pylist()
    traces_of, clusters_of = Counter(r["problem_id"] for r in strategies), Counter()
    for row in strategies:
        clusters_of[row["problem_id"]] += row["representative"]
    pairs = Counter((traces_of[problem], clusters_of[problem]) for problem in traces_of)
    print("correct traces, clusters, problems:", ", ".join(f"({t}, {c}) x {n}" for (t, c), n in sorted(pairs.items())))


if __name__ == "__main__":
    main()
