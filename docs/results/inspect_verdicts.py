"""The verdicts of inspect_evals' AIME scorer beside those of a measurement, in an environment that has both packages.

`pip install inspect-evals pyarrow` elsewhere (it cannot be beside this project), then
`python docs/results/inspect_verdicts.py OUTPUT`, where OUTPUT was written by `forkpipe evaluate`.
Prints every difference.
"""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
from inspect_ai.model import ModelOutput
from inspect_ai.scorer import Target
from inspect_ai.solver import TaskState
from inspect_evals.utils.aime_common import aime_scorer


async def score(text, gold):
    """Return whether the scorer calls a text correct."""
    state = TaskState("none/none", 0, 0, "", [], output=ModelOutput.from_content("none/none", text))
    return (await aime_scorer()(state, Target(gold))).value == "C"


def main():
    """Print the comparison."""
    output = Path(sys.argv[1])
    golds = {
        row["problem_id"]: row["answer"] for row in pq.read_table(output / "benchmark_problems.parquet").to_pylist()
    }
    scores = pq.read_table(output / "benchmark_scores.parquet").to_pylist()
    texts = pq.read_table(output / "benchmark_generations.parquet").to_pylist()
    agree, kinds = 0, Counter()
    for row, sample in zip(scores, texts, strict=True):
        theirs = asyncio.run(score(sample["text"], golds[row["problem_id"]]))
        if theirs == (row["verdict"] == "correct"):
            agree += 1
            continue
        kinds[row["verdict"], theirs] += 1
        end = " ".join(sample["text"].split())[-90:]
        print(json.dumps([row["verdict"], theirs, golds[row["problem_id"]], row["extracted"], end], ensure_ascii=False))
    print(f"{agree} of {len(scores)} verdicts agree; (here, inspect_evals): {dict(kinds)}")


if __name__ == "__main__":
    main()
