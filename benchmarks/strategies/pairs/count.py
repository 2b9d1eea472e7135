"""Counts of the labelled pairs, the share of different ones the weights estimate, and the agreement of two readings.

python benchmarks/strategies/pairs/count.py FOLDER
"""

import json
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Reading = tuple[str, str]

RESAMPLES = 2_000
SETS = ("tuning", "test", "fresh", "late")


def read(path: Path) -> list[Row]:
    """Return the rows of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def interval(groups: list[list[Any]], figure: Callable[[list[Any]], float]) -> str:
    """Return a figure and its 95 % interval, groups resampled as a whole."""
    random_ = random.Random(0)
    resampled = sorted(
        figure([item for group in random_.choices(groups, k=len(groups)) for item in group]) for _ in range(RESAMPLES)
    )
    low, high = resampled[RESAMPLES // 40], resampled[-1 - RESAMPLES // 40]
    return f"{figure([item for group in groups for item in group]):.3f} ({low:.3f} to {high:.3f})"


def different(rows: list[Row]) -> float:
    """Return the weighted share of different pairs."""
    return sum(row["weight"] for row in rows if row["label"] == "different") / sum(row["weight"] for row in rows)


def agreement(readings: list[Reading]) -> float:
    """Return the share of pairs read alike twice."""
    return sum(first == second for first, second in readings) / len(readings)


def kappa(readings: list[Reading]) -> float:
    """Return Cohen's kappa: agreement above what the two readings' shares of labels give by chance."""
    firsts, seconds = (Counter(reading) for reading in zip(*readings, strict=True))
    chance = sum(count * seconds[label] for label, count in firsts.items()) / len(readings) ** 2
    return (agreement(readings) - chance) / (1 - chance)


def main(folder: Path) -> None:
    """Print the tables of the README."""
    halves = {name: read(folder / f"{name}.jsonl") for name in SETS}
    for name, rows in halves.items():
        problems = defaultdict(list)
        for row in rows:
            problems[row["problem"]].append(row)
        print(name, dict(Counter(row["label"] for row in rows)), len(problems), "problems")
        print("  different, weighted:", interval(list(problems.values()), different))
        weights = [row["weight"] for row in rows]
        kish = sum(weights) ** 2 / sum(weight**2 for weight in weights)
        print(f"  weights up to {max(weights):.0f}, worth {kish:.0f} equal pairs (Kish)")
        print("  without texts:", dict(Counter(row["label"] for row in rows if "a" not in row)))
        print("  sources:", dict(Counter(row["source"] for row in rows)))
        strata = Counter((row["pool"], row["stratum"], row["label"]) for row in rows)
        for pool, stratum in sorted({key[:2] for key in strata}):
            counts = [strata[pool, stratum, label] for label in ("same", "different")]
            print(f"  {pool}, {stratum}: {counts[0]} same, {counts[1]} different")
    twice = read(folder / "second_reading.jsonl")
    for names in (("tuning", "test"), ("fresh",), ("late",)):
        readings = [
            (halves[row["half"]][row["line"] - 1]["label"], row["label"]) for row in twice if row["half"] in names
        ]
        print(", ".join(names), "read twice:", dict(Counter(readings)))
        groups = [[reading] for reading in readings]
        print("  agreement:", interval(groups, agreement), " kappa:", interval(groups, kappa))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
