"""Write a store of many rows as a run does, and measure what a rerun needs to know what is done.

    python benchmarks/store/scale.py write /tmp/big --rows 1000000
    python benchmarks/store/scale.py ids /tmp/big --rows 1000000       # a process of its own: time and peak memory
    python benchmarks/store/scale.py texts /tmp/big --rows 1000000     # all texts, in the order of the requests
    python benchmarks/store/scale.py plan /tmp/big --rows 1000000      # the requests of one teacher, 8 a problem
    python benchmarks/store/scale.py digest /tmp/big --rows 100000     # the table of traces, and its digest

`write` goes through `append`, with its syncs and compactions, and goes on where it was stopped. A text is 4 kB out of
60 MB of words drawn from a vocabulary of 4,096, which zstd shrinks to about half.
"""

import argparse
import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from forkpipe.core.ids import content_hash
from forkpipe.core.records import Problem
from forkpipe.datasets.table import TableDataset
from forkpipe.demo.procedural import ProceduralEngine
from forkpipe.generation.attempts import latest
from forkpipe.generation.requests import plan_requests
from forkpipe.parameters import TeacherSettings
from forkpipe.stores.tables import Batches
from forkpipe.stores.trace_store import TraceStore

CHARACTERS = 4096
PROMPT = "Solve the problem and put the final answer in a box. " * 4
SAMPLING = json.dumps({"max_tokens": 4096, "temperature": 1.0, "top_p": 1.0})


def rows(start: int, n: int) -> Iterator[dict[str, Any]]:
    """Yield rows; their ids are evenly spread, as hashes are."""
    rng = np.random.default_rng(start)
    words = np.array(["".join(chr(97 + letter) for letter in rng.integers(0, 26, 5)) for _ in range(4096)])
    corpus = " ".join(words[rng.integers(0, len(words), 10_000_000)].tolist())
    places = rng.integers(0, len(corpus) - CHARACTERS, n)
    for number in range(start, n):
        request_id = content_hash("row", number)
        yield {
            "request_id": request_id,
            "attempt": 0,
            "trace_id": content_hash("trace", request_id, 0),
            "problem_id": content_hash("problem", number // 8),
            "teacher": f"teacher_{number * 4 // n}",
            "teacher_revision": "1",
            "sample": number % 8,
            "seed": number,
            "prompt": f"{PROMPT}{number // 8}",
            "prompt_hash": content_hash("prompt", number // 8),
            "sampling": SAMPLING,
            "text": corpus[places[number] : places[number] + CHARACTERS],
            "reasoning": "",
            "tokens_in": 60,
            "tokens_out": 1000,
            "finish_reason": "stop",
            "status": "done",
            "error": "",
            "seconds": 12.5,
            "run_id": "2026-11-22T00.00.00.000Z",
        }


def write(folder: Path, n: int) -> dict[str, Any]:
    """Append the rows that the store lacks, so that a long writing may be cut into several."""
    started = time.monotonic()
    with TraceStore(folder) as store:
        there = len(store.index())
        for row in rows(there, n):
            store.append(row)
    return {"rows": n, "written now": n - there, "rows/s": round((n - there) / (time.monotonic() - started))}


def ids(folder: Path, n: int) -> dict[str, Any]:
    """Open the store, scan it, and look up which of n requests are done."""
    keys = np.fromiter((int(content_hash("row", number), 16) for number in range(n)), np.uint64, n)
    before = peak()
    started = time.monotonic()
    with TraceStore(folder) as store:
        opened = time.monotonic()
        index = store.index()
        scanned = time.monotonic()
        found = latest(index, keys, 4096)
        ended = time.monotonic()
    assert int(found.final.sum()) == min(n, len(index))
    return {
        "rows": len(index), "done": int(found.final.sum()), "open s": opened - started, "scan s": scanned - opened,
        "look up s": ended - scanned, "in all s": ended - started, "peak MB before": before,
    }  # fmt: skip


def texts(folder: Path, n: int) -> dict[str, Any]:
    """Read all rows in the order of the requests, as the table of traces is written."""
    keys = np.fromiter((int(content_hash("row", number), 16) for number in range(n)), np.uint64, n)
    with TraceStore(folder) as store:
        index = store.index()
        entries = index.take(latest(index, keys, 4096).entry)
        started = time.monotonic()
        size = sum(table.nbytes for table in store.tables(entries))
    return {"rows": n, "bytes": size, "s": time.monotonic() - started}


def plan(folder: Path, n: int) -> dict[str, Any]:
    """Plan n requests, 8 a problem."""
    problems = [
        Problem.create(f"{PROMPT}{number}", "1", answer_type="integer", source="s", source_id=str(number))
        for number in range(n // 8)
    ]
    teacher = TeacherSettings(engine="procedural", samples=8)
    engine = ProceduralEngine(strategy="cycle")
    before, started = peak(), time.process_time()
    planned = plan_requests(problems, "t", teacher, engine)
    cpu = time.process_time() - started
    return {"requests": len(planned), "cpu s": cpu, "MB of problems": before, "MB of the plan": peak() - before}


def digest(folder: Path, n: int) -> dict[str, Any]:
    """Write the first n rows as a table of traces, and digest it as the runner does after a node has run."""
    data = TableDataset(filepath=str(folder) + "-traces.parquet", table="traces")
    with TraceStore(folder) as store:
        entries = store.index().take(slice(0, n))
        started = time.process_time()
        data.save(Batches(lambda: store.tables(entries)))
    written = time.process_time()
    data.content_digest()
    digested = time.process_time()
    data.content_keys()
    ended = time.process_time()
    Path(f"{folder}-traces.parquet").unlink()
    return {
        "rows": n, "table cpu s": written - started, "digest cpu s": digested - written, "keys cpu s": ended - digested,
    }  # fmt: skip


def peak() -> float:
    """Return the most memory this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


PARTS = {"write": write, "ids": ids, "texts": texts, "plan": plan, "digest": digest}


def main() -> None:
    """Do one part and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    result = PARTS[given.part](given.folder, given.rows)
    shards = sorted(given.folder.glob("shard-*.parquet"))
    held = sum(pq.read_metadata(path).num_rows for path in shards)
    size = sum(path.stat().st_size for path in shards)
    result |= {"shards": len(shards), "bytes/row": round(size / max(held, 1)), "peak MB": peak()}
    print(json.dumps({name: round(value, 2) if isinstance(value, float) else value for name, value in result.items()}))


if __name__ == "__main__":
    main()
