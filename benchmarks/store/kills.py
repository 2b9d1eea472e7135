"""Kill a run that asks a teacher at random points and see what is lost, doubled or sent again.

    python benchmarks/store/kills.py --kills 100 --requests 3000

A deterministic engine keeps several requests under way, writes each into a counting file when it sends it, and answers
them out of order, as a server would. A process that has imported all it needs forks one child after another, which ask
for what the store lacks, kills each at a random moment, and reads the folder as it was left, without the code of the
store. In the end the store is held against that of a run that nobody disturbed.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from forkpipe.core.records import Completion, Problem, Request
from forkpipe.core.schemas import VOLATILE
from forkpipe.generation.asking import ask_teacher
from forkpipe.generation.requests import plan_requests
from forkpipe.parameters import TeacherSettings
from forkpipe.stores.trace_store import TraceStore

WINDOW = 16
TEACHER = TeacherSettings.model_validate({"engine": "test", "samples": 2, "sampling": {"max_tokens": 1000}})


class CountedEngine:
    """Answers out of order, with WINDOW requests under way; each is counted when it is sent."""

    version = "1"
    identity = "counted"

    def __init__(self, counts: Path) -> None:
        self._fd = os.open(counts, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield the answers, each a function of its request."""
        under_way: list[Request] = []
        for request in requests:
            os.write(self._fd, f"{request.request_id}\n".encode())
            under_way.append(request)
            if len(under_way) == WINDOW:
                yield self._answer(under_way.pop(request.seed % WINDOW))
        while under_way:
            yield self._answer(under_way.pop())

    def samples_held(self, problem: str) -> int | None:
        """Any number."""
        return None

    def close(self) -> None:
        """Close the counting file."""
        os.close(self._fd)

    def _answer(self, request: Request) -> Completion:
        text = f"{request.problem} {request.sample} " + "step " * (request.seed % 200)
        return Completion(request.request_id, text, tokens_in=5, tokens_out=len(text.split()), seconds=time.time() % 1)


def ask(folder: Path, requests: int, journal_bytes: int) -> None:
    """Ask for what the store lacks."""
    problems = [
        Problem.create(f"{n} + 1", str(n + 1), answer_type="integer", source="kills", source_id=str(n))
        for n in range(requests // TEACHER.samples)
    ]
    engine = CountedEngine(folder / "counts")
    store = TraceStore(folder / "store", journal_bytes=journal_bytes)
    ask_teacher("t", TEACHER, plan_requests(problems, "t", TEACHER, engine), engine, store, "run")
    engine.close()


def durable(folder: Path) -> set[str]:
    """Return the ids of all whole rows within a store's folder, read without the store's code."""
    ids: set[str] = set()
    for path in (folder / "store").glob("shard-*.parquet"):
        ids |= set(pq.read_table(path, columns=["request_id"])["request_id"].to_pylist())
    for path in (folder / "store").glob("journal-*.jsonl"):
        for line in path.read_bytes().splitlines():
            try:
                ids.add(json.loads(line)["request_id"])
            except ValueError:
                continue
    return ids


def sent(folder: Path) -> list[str]:
    """Return the ids of all requests that were sent, in order."""
    path = folder / "counts"
    return path.read_text().split() if path.exists() else []


def content(folder: Path) -> list[str]:
    """Return the rows of a store, times and runs apart, sorted."""
    with TraceStore(folder / "store") as store:
        rows = ({name: value for name, value in row.items() if name not in VOLATILE} for row in store.rows())
        return sorted(json.dumps(row, sort_keys=True) for row in rows)


def raw_keys(folder: Path) -> list[tuple[str, int]]:
    """Return the keys of all rows of all shards, as they lie in the files."""
    keys: list[tuple[str, int]] = []
    for path in (folder / "store").glob("shard-*.parquet"):
        columns = pq.read_table(path, columns=["request_id", "attempt"]).to_pydict()
        keys += zip(columns["request_id"], columns["attempt"], strict=True)
    return keys


def child(folder: Path, requests: int, journal_bytes: int) -> int:
    """Fork a process that asks; return its id."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            ask(folder, requests, journal_bytes)
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def wait_for(folder: Path, lines: int, pid: int) -> None:
    """Wait until so many requests were sent in all, or the process has ended."""
    line = len("0123456789abcdef\n")
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        path = folder / "counts"
        if path.exists() and path.stat().st_size >= lines * line:
            return
        time.sleep(0.0005)


def main() -> None:
    """Kill, resume, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--journal-bytes", type=int, default=60_000, help="small, so that kills hit compactions too")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    base = Path(tempfile.mkdtemp(prefix="kills-"))
    undisturbed, killed = base / "undisturbed", base / "killed"
    undisturbed.mkdir()
    killed.mkdir()

    started = time.monotonic()
    assert os.waitpid(child(undisturbed, given.requests, given.journal_bytes), 0)[1] == 0
    whole = time.monotonic() - started

    counts: Counter[str] = Counter()
    lost: set[str] = set()
    known: set[str] = set()
    while counts["kills"] < given.kills:
        before = len(sent(killed))
        pid = child(killed, given.requests, given.journal_bytes)
        if rng.random() < 0.25:
            time.sleep(rng.uniform(0, 0.08 * whole))  # while it starts: lock, recovery, scan
        else:
            left = given.requests - len(known)
            wait_for(killed, before + rng.randint(1, 1 + 2 * left // (given.kills - counts["kills"] + 1)), pid)
            time.sleep(rng.uniform(0, 0.01))
        ended, _ = os.waitpid(pid, os.WNOHANG)
        if ended:  # it was done before it could be killed: what follows asks from the start
            counts["whole runs"] += 1
            shutil.rmtree(killed)
            killed.mkdir()
            known = set()
            continue
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        counts["kills"] += 1
        counts["kills before anything was sent"] += len(sent(killed)) == before
        counts["kills in a compaction"] += bool(list((killed / "store").glob("*.tmp")))
        found = durable(killed)
        new = sent(killed)[before:]
        lost |= known - found
        counts["durable requests sent again"] += len(known & set(new))
        in_flight = set(new) - found
        counts["in flight at a kill"] += len(in_flight)
        counts["most in flight at a kill"] = max(counts["most in flight at a kill"], len(in_flight))
        known = found
    before = len(sent(killed))
    assert os.waitpid(child(killed, given.requests, given.journal_bytes), 0)[1] == 0
    counts["durable requests sent again"] += len(known & set(sent(killed)[before:]))
    keys = raw_keys(killed)
    all_sent = Counter(sent(killed))
    result = {
        **counts,
        "requests": given.requests,
        "durable rows lost": len(lost),
        "rows missing": given.requests - len({key for key, _ in keys}),
        "duplicated keys": len(keys) - len(set(keys)),
        "sent again since the last whole run": sum(all_sent.values()) - len(all_sent),
        "equal to the undisturbed store": content(killed) == content(undisturbed),
        "set aside": sorted(path.name for path in (killed / "store").glob("set_aside/*")),
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(result))
    shutil.rmtree(base)


if __name__ == "__main__":
    main()
