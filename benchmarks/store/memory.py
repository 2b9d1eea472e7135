"""Ask a mock engine for many traces and print how much memory the asking takes, as it goes.

    python benchmarks/store/memory.py --requests 200000

The engine keeps 512 requests under way and answers each with 4 kB of text at once, so that nothing but the loop is
measured: what a run holds must not grow with the answers it has got. At the end the table of traces is written too.
"""

import argparse
import json
import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from forkpipe.core.records import Completion, Problem, Request
from forkpipe.datasets.table import TableDataset
from forkpipe.generation.asking import ask_teacher
from forkpipe.generation.collecting import collect
from forkpipe.generation.requests import plan_requests
from forkpipe.parameters import TeacherSettings
from forkpipe.stores.trace_store import TraceStore

WINDOW = 512
TEACHER = TeacherSettings.model_validate({"engine": "mock", "samples": 8, "sampling": {"max_tokens": 4096}})
LETTERS = "".join(random.Random(0).choices("abcdefghijklmnopqrstuvwxyz     ", k=4_000_000))


def resident() -> float:
    """Return the memory this process holds, in MB."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4096 / 1e6


class MockEngine:
    """Answers at once; prints the memory every so many answers."""

    version = "1"
    identity = "mock"

    def __init__(self, every: int) -> None:
        self._every = every
        self._done = 0
        self._started = time.monotonic()
        self.curve: list[tuple[int, float]] = []

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield an answer for the oldest of the requests that are under way."""
        under_way: list[Request] = []
        for request in requests:
            under_way.append(request)
            if len(under_way) == WINDOW:
                yield self._answer(under_way.pop(0))
        yield from map(self._answer, under_way)

    def samples_held(self, problem: str) -> int | None:
        """Any number."""
        return None

    def close(self) -> None:
        """Nothing is held."""

    def _answer(self, request: Request) -> Completion:
        if self._done % self._every == 0:
            self.curve.append((self._done, resident()))
            print(f"{self._done} {self.curve[-1][1]:.0f} MB {time.monotonic() - self._started:.0f} s", flush=True)
        self._done += 1
        start = request.seed % (len(LETTERS) - 4096)
        return Completion(request.request_id, LETTERS[start : start + 4096], tokens_in=60, tokens_out=1000, seconds=1.0)


def main() -> None:
    """Ask, write the table, print the curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200_000)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="memory-"))
    problems = [
        Problem.create(f"{n} + 1", str(n + 1), answer_type="integer", source="mock", source_id=str(n))
        for n in range(given.requests // TEACHER.samples)
    ]
    before = resident()
    engine = MockEngine(given.requests // 20)
    plan = plan_requests(problems, "t", TEACHER, engine)
    planned = resident()
    started = time.monotonic()
    with TraceStore(folder / "store") as store:
        outcome = ask_teacher("t", TEACHER, plan, engine, store, "run")
        asked = time.monotonic()
        batches, _ = collect(store, {"t": [plan]}, {"t": TEACHER}, {"t": outcome})
        TableDataset(filepath=str(folder / "traces.parquet"), table="traces").save(batches)
    written = time.monotonic()
    after = resident()
    print(
        json.dumps(
            {
                "requests": len(plan), "MB before": round(before), "MB planned": round(planned),
                "MB at 5 %": round(engine.curve[1][1]), "most MB": round(max(mb for _, mb in engine.curve)),
                "MB after the table": round(after), "asking s": round(asked - started, 1),
                "answers/s": round(len(plan) / (asked - started)), "table s": round(written - asked, 1),
            }
        )
    )  # fmt: skip
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
