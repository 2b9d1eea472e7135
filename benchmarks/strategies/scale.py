"""Memory and time over many traces: real ones repeated under changing problems.

    python benchmarks/strategies/scale.py TRACES.jsonl.gz --problems 12500 --report 2500

Groups of eight traces (rows with problem and trace, a problem's rows together) go through `grouping.cluster_all`, which
holds 256 problems at a time. Prints traces done, seconds, seconds a thousand traces and the peak of resident memory.
"""

import argparse
import itertools
import resource
import time
from collections.abc import Iterator

from forkpipe.core.read_rows import read_rows
from forkpipe.strategies import StepClusterer
from forkpipe.strategies.grouping import cluster_all

GROUP = 8


def groups(path: str, count: int) -> Iterator[tuple[str, list[str]]]:
    """Yield `count` problems with their traces, each repetition with other numbers of the problem."""
    held: dict[str, list[str]] = {}
    for _, row in read_rows(path):
        held.setdefault(row["problem"], []).append(row["trace"])
    for number, (problem, texts) in enumerate(itertools.islice(itertools.cycle(held.items()), count)):
        yield f"{problem} (variant {number})", [f"{text}\nVariant {number}." for text in texts[:GROUP]]


def main() -> None:
    """Print a line every so many problems."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces")
    parser.add_argument("--problems", type=int, default=12_500)
    parser.add_argument("--report", type=int, default=2_500)
    given = parser.parse_args()
    started, traces, clusters = time.process_time(), 0, 0
    for done, found in enumerate(cluster_all(StepClusterer(), groups(given.traces, given.problems)), start=1):
        traces += len(found.clusters.labels)
        clusters += len(found.clusters.representatives)
        if done % given.report == 0 or done == given.problems:
            seconds = time.process_time() - started
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{done} problems, {traces} traces, {clusters} strategies: {seconds:.0f} s of CPU, "
                f"{1000 * seconds / traces:.1f} s a thousand traces, peak {peak:.0f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
