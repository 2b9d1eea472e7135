"""The scores of imported traces against brute force and against math-verify alone.

`python docs/results/benchmark_study.py TRACES BENCHMARK OUTPUT`, where OUTPUT was written by
`forkpipe evaluate --import TRACES --field text=trace --benchmarks aime24 --file aime24=BENCHMARK --output OUTPUT`.
Prints avg@n, cons@k and pass@k by counting every set, and each verdict on which math-verify's own reading differs.
"""

import itertools
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from statistics import fmean

import pyarrow.parquet as pq
from math_verify import parse, verify

from forkpipe.core.responses import split_reasoning


def vote(drawn):
    """Return the score of a plurality vote among (answer, correct), ties averaged."""
    counts = Counter(answer for answer, _ in drawn if answer is not None)
    if not counts:
        return 0.0
    best = [answer for answer in counts if counts[answer] == max(counts.values())]
    return sum(any(right for answer, right in drawn if answer == one) for one in best) / len(best)


def answer_of(row):
    """Return a whole number where the answer is one, else its text; None where the sample abstains."""
    if row["verdict"] not in ("correct", "wrong"):
        return None
    text = row["extracted"].strip()
    return int(text) if text.lstrip("+-").isdigit() else text


def by_counting(rows):
    """Return the metrics of the first n samples of each problem, n the least that any has."""
    problems = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["sample"]):
        problems[row["problem_id"]].append((answer_of(row), row["verdict"] == "correct"))
    n = min(map(len, problems.values()))
    found = {"n": n}
    for k in range(1, n + 1, 2):
        sets = [list(itertools.combinations(samples[:n], k)) for samples in problems.values()]
        found[f"avg@{k}"] = fmean(fmean(right for _, right in samples[:k]) for samples in problems.values())
        found[f"cons@{k}"] = fmean(fmean(map(vote, drawn)) for drawn in sets)
        found[f"pass@{k}"] = fmean(fmean(any(r for _, r in one) for one in drawn) for drawn in sets)
    return found


def main():
    """Print the comparison."""
    output = Path(sys.argv[3])
    scores = pq.read_table(output / "benchmark_scores.parquet").to_pylist()
    counted = by_counting(scores)
    metrics = pq.read_table(output / "benchmark_metrics.parquet").to_pylist()
    for row in metrics:
        if row["subset"] == "all":
            print(
                row["protocol"],
                row["value"],
                counted.get(row["protocol"]),
                row["value"] == counted.get(row["protocol"]),
            )
    golds = {r["problem_id"]: r["answer"] for r in pq.read_table(output / "benchmark_problems.parquet").to_pylist()}
    texts = pq.read_table(output / "benchmark_generations.parquet").to_pylist()
    agree, differ = 0, []
    for row, made in zip(scores, texts, strict=True):
        read = parse(split_reasoning(made["text"])[1] or made["text"])
        theirs = verify(parse(golds[row["problem_id"]]), read)
        if theirs == (row["verdict"] == "correct"):
            agree += 1
        else:
            end = " ".join(made["text"].split())[-90:]
            differ.append([row["verdict"], row["extracted"], golds[row["problem_id"]], str(read[:1]), end])
    print(f"{agree} of {len(scores)} verdicts agree with math-verify")
    for row in differ:
        print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()
