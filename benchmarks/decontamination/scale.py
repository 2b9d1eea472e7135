"""Seconds and peak memory of decontaminating many problems, by stage.

python benchmarks/decontamination/scale.py --against math500=FILE --problems dapo=FILE math=FILE --count 100000

Where the files hold fewer problems, more are made: the first half of one real problem and the second of another, with
new numbers, so that words and lengths are those of real problems.
"""

import argparse
import random
import re
import resource
import time
from collections.abc import Callable
from typing import Any

from files import Row, evaluation_sets, problems, row

from forkpipe.parameters import DecontaminationSettings
from forkpipe.problems.decontamination import remove_overlaps
from forkpipe.problems.overlap import Comparable


def made(real: list[Row], draw: random.Random, number: int) -> Row:
    """Return a problem out of two real ones."""
    first, second = (draw.choice(real)["problem"].split(" ") for _ in range(2))
    text = " ".join(first[: len(first) // 2] + second[len(second) // 2 :])
    text = re.sub(r"\d+", lambda old: str(draw.randrange(10 ** len(old[0]))), text)
    return row(text or "empty", str(draw.randrange(1000)), f"made:{number}")


def timed(name: str, act: Callable[[], Any]) -> Any:
    """Run, and print seconds and the peak of the process's memory up to here."""
    start = time.monotonic()
    result = act()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:44} {time.monotonic() - start:7.1f} s   peak {peak:6.0f} MB", flush=True)
    return result


def main() -> None:
    """Print one line a stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", nargs="+", required=True, metavar="NAME=PATH[:COLUMN]")
    parser.add_argument("--problems", nargs="+", required=True, metavar="NAME=PATH[:COLUMN]")
    parser.add_argument("--count", type=int, default=100_000)
    given = parser.parse_args()
    evaluation = timed("load evaluation sets", lambda: evaluation_sets(given.against))
    real = [one for name in given.problems for one in problems(name)]
    draw = random.Random(0)
    rows = (real + [made(real, draw, number) for number in range(max(0, given.count - len(real)))])[: given.count]
    print(f"{len(rows)} problems, {min(len(real), len(rows))} of them real; {len(evaluation)} evaluation problems")
    timed("memory before, nothing done", lambda: None)
    timed("normalise all (part of both below)", lambda: [None for one in rows if Comparable.of(one["problem"])])
    none = DecontaminationSettings(within=False)
    _, _, rejected, _ = timed("against the evaluation sets", lambda: remove_overlaps(rows, evaluation, none))
    print(f"  {len(rejected)} rejected")
    both = DecontaminationSettings()
    kept, _, rejected, _ = timed(
        "against them and one another (the node)", lambda: remove_overlaps(rows, evaluation, both)
    )
    print(f"  {len(kept)} kept, {len(rejected)} rejected")


if __name__ == "__main__":
    main()
