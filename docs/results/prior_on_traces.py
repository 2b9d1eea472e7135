"""What would the consistency prior find in given traces? Its matching alone, without a model, against what is known.

    python docs/results/prior_on_traces.py traces.jsonl.gz --tags 6

reads JSONL with problem_id, teacher and trace. Starting from random tags, every problem is matched by the prior again
and again until no tag changes; of several starts the likeliest counts. Printed is how well the tags tell teachers, and
the share of the variance of lengths within a problem that they explain, each beside what random tags give.
"""

import argparse
import gzip
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from forkpipe.core.consistency import ConsistencyPrior, ngrams
from forkpipe.core.matching import match_optimal, match_random, total_cost
from forkpipe.core.statistics import mutual_information_bits, purity

STARTS, SWEEPS = 4, 30


def settled(features: Sequence[list], n_tags: int, seed: int) -> tuple[float, list[np.ndarray]]:
    """Return the cost of the matching at which the prior ends from a random start, nats a feature and trace."""
    prior, rng = ConsistencyPrior(features, n_tags), np.random.default_rng(seed)
    tags = [match_random(n_tags, len(traces), rng) for traces in features]
    for problem, own in enumerate(tags):
        prior.place(problem, own.tolist())
    for _ in range(SWEEPS):
        changed = 0
        for problem in rng.permutation(len(tags)):
            again = match_optimal(prior.costs(problem))
            changed += int((again != tags[problem]).any())
            tags[problem] = again
            prior.place(problem, again.tolist())
        if not changed:
            break
    costs = [total_cost(prior.costs(problem), own) / len(own) for problem, own in enumerate(tags)]
    return float(np.mean(costs)), tags


def told(tags: Sequence[np.ndarray], teachers: Sequence[list[str]], lengths: Sequence[list[int]], n: int) -> str:
    """Return what tags tell: purity and information on teachers, share of the variance of log lengths in a problem."""
    names = sorted({name for own in teachers for name in own})
    counts = np.zeros((n, len(names)))
    for own, by in zip(tags, teachers, strict=True):
        for tag, name in zip(own, by, strict=True):
            counts[tag, names.index(name)] += 1
    centred = np.concatenate([np.log(own) - np.mean(np.log(own)) for own in map(np.array, lengths)])
    flat = np.concatenate(tags)
    of_tag = sum((flat == tag).sum() * centred[flat == tag].mean() ** 2 for tag in set(flat))
    share = of_tag / max((centred**2).sum(), 1e-12)
    return f"{purity(counts):.3f} | {mutual_information_bits(counts):.3f} | {share:.3f}"


def main() -> None:
    """Print a row for each file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--tags", type=int, default=6)
    given = parser.parse_args()
    print(
        "| traces | problems, traces, teachers | tags | teacher: purity | bits | variance of length |\n|" + "---|" * 6
    )
    for path in given.files:
        by_problem = defaultdict(list)
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            for row in map(json.loads, file):
                by_problem[row["problem_id"]].append((row["teacher"], re.findall(r"\w+|[^\w\s]", row["trace"])))
        rng = np.random.default_rng(0)
        sets = [
            [own[i] for i in rng.permutation(len(own))[: given.tags]] for own in by_problem.values() if len(own) > 1
        ]
        teachers = [[teacher for teacher, _ in own] for own in sets]
        lengths = [[max(1, len(words)) for _, words in own] for own in sets]
        features = [[ngrams(words) for _, words in own] for own in sets]
        cost, tags = min((settled(features, given.tags, seed) for seed in range(STARTS)), key=lambda end: end[0])
        chance = [match_random(given.tags, len(own), rng) for own in sets]
        what = f"{len(sets)}, {sum(map(len, sets))}, {len({name for own in teachers for name in own})}"
        print(f"| {path.name} | {what} | prior, {cost:.2f} | {told(tags, teachers, lengths, given.tags)} |", flush=True)
        print(f"| | | random | {told(chance, teachers, lengths, given.tags)} |", flush=True)


if __name__ == "__main__":
    main()
