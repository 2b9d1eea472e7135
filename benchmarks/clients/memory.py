"""Memory of the engine `openai` over many requests to a local server, nothing of the answers being kept.

python benchmarks/clients/memory.py --requests 200000 --concurrency 512

Requests are made as they are sent, so that what grows is the engine's. Prints a line every few seconds: requests done,
resident megabytes.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
from compare import serve

from forkpipe.core.records import Request, Sampling
from forkpipe.engines.openai import OpenAIEngine


class Made(Sequence[Request]):
    """N requests that exist only while they are looked at."""

    def __init__(self, n: int) -> None:
        self._n = n

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, i: int) -> Request:  # type: ignore[override]
        return Request.create(
            problem_id=str(i),
            problem="",
            asked_of="m",
            revision="",
            prompt=f"question {i}",
            sample=0,
            sampling=Sampling(),
        )

    def __iter__(self) -> Iterator[Request]:
        return (self[i] for i in range(self._n))


def main() -> None:
    """Send the requests and print the curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--concurrency", type=int, default=512)
    parser.add_argument("--latency", type=float, default=0.1)
    parser.add_argument("--every", type=int, default=10_000, help="requests to a line")
    given = parser.parse_args()
    process = psutil.Process()
    ended: Counter[str] = Counter()
    print("done,seconds,resident_mb")
    with serve(given.latency) as url:
        started = time.perf_counter()
        engine = OpenAIEngine(model="m", base_url=url, concurrency=given.concurrency)
        for done in engine.generate(Made(given.requests)):
            ended[done.finish_reason] += 1
            count = ended.total()
            if count % given.every == 0 or count == given.concurrency:
                resident = process.memory_info().rss / 2**20
                print(f"{count},{time.perf_counter() - started:.0f},{resident:.1f}", flush=True)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(dict(ended), "peak", " ".join(peak.split()[1:]))


if __name__ == "__main__":
    main()
