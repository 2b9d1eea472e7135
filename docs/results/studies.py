"""What the studies share: a file of results that survives a kill, processes, and statistics over pairs of trainings."""

import argparse
import fcntl
import json
import multiprocessing
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from forkpipe.core.statistics import bootstrap_interval, pairs_needed

Row = dict[str, Any]
RESAMPLES = 10_000
MEASURES = ("pass_1", "cons", "pass_n", "mixed", "purity", "purity_whole", "bits")


def options(description: str | None) -> argparse.ArgumentParser:
    """Return the options that every study has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="JSONL; a training that is in it is not run again")
    parser.add_argument("--environments", nargs="+", default=["base"])
    parser.add_argument("--print", action="store_true", help="print what there is, train nothing")
    return parser


class Results:
    """The lines of a file of results, each named by some of its fields; several processes may write to one file.

    A line that a kill cut off has no end: it is not read, and the next line that is written takes its place.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path, self.names = path, names
        text = path.read_text() if path.exists() else ""
        self.rows: list[Row] = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def has(self, *values: object) -> bool:
        """Tell whether there is a line with these values of the naming fields."""
        return list(values) in [[row[name] for name in self.names] for row in self.rows]

    def add(self, row: Row, shown: Sequence[str] = ()) -> None:
        """Write a line, and print some of it."""
        self.rows.append(row)
        with self.path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            written = file.read()
            file.truncate(written.rfind(b"\n") + 1)
            file.write(json.dumps(row).encode() + b"\n")
        print({name: row[name] for name in (*self.names, *shown)}, flush=True)


def in_processes(work: Callable[..., None], jobs: Sequence[tuple[Any, ...]], processes: int) -> None:
    """Call `work` with the arguments of each job; as many at a time as there are processes, each on one thread."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read by torch and numpy when a process loads them
    if processes == 1:
        for job in jobs:
            work(*job)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(work, *job) for job in jobs]):
            done.result()


def spread(values: Sequence[float | None], signed: bool = False) -> str:
    """Return mean and standard deviation over seeds; "-" where there are no values."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    mean = f"{statistics.mean(known):{'+' if signed else ''}.3f}"
    return mean + (f" ± {statistics.stdev(known):.3f}" if len(known) > 1 else "")


def difference(first: Mapping[Any, float], second: Mapping[Any, float], effect: float) -> str | None:
    """Return the paired difference of two variants in words of a table; None where no pair has both.

    Args:
        first: a value for each pair of trace sets and training seed.
        second: the same of the variant that it is compared with.
        effect: for which the number of pairs is given that shows it.
    """
    pairs = sorted(set(first) & set(second))
    gains = [first[pair] - second[pair] for pair in pairs]
    if not gains:
        return None
    text = f"{spread(gains, signed=True)} | {sum(gain > 0 for gain in gains)} of {len(gains)}"
    if len(gains) < 2:
        return f"{text} | | "
    low, high = bootstrap_interval(gains, RESAMPLES, seed=0)
    return f"{text} | [{low:+.3f}, {high:+.3f}] | {pairs_needed(statistics.stdev(gains), effect)}"


def show(rows: Sequence[Row], against: str, effect: float) -> None:
    """Print for each environment the mean and standard deviation of every variant, and differences pair by pair."""
    for environment in sorted({row["environment"] for row in rows}):
        of: dict[str, dict[tuple[int, int], Row]] = {}
        for row in rows:
            if row["environment"] == environment:
                of.setdefault(row["variant"], {})[row["set"], row["seed"]] = row
        columns = ["", "pairs", *MEASURES, "purity >= .95", "CPU seconds"]
        print(f"\n### `{environment}`\n\n| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
        for name, measured in of.items():
            cells = [spread([row.get(measure) for row in measured.values()]) for measure in MEASURES]
            pure = [row["purity"] >= 0.95 for row in measured.values() if row.get("purity") is not None]
            cells += [f"{sum(pure)} of {len(pure)}" if pure else "-"]
            cells += [spread([row["cpu_seconds"] for row in measured.values()])]
            print(f"| {name} | {len(measured)} | " + " | ".join(cells) + " |")
        columns = [f"minus {against}", "", "mean ± sd", "better in", "95 % over pairs", f"pairs to show {effect:g}"]
        print("\n| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
        for name in [name for name in of if name != against and against in of]:
            for measure in MEASURES[:3]:
                first, second = ({pair: row[measure] for pair, row in of[one].items()} for one in (name, against))
                if text := difference(first, second, effect):
                    print(f"| {name} | {measure} | {text} |")
