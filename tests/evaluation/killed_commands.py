"""`forkpipe evaluate` in a process that is killed again and again, against a server that fails now and then.

`python tests/evaluation/killed_commands.py 20` is the proof at full length: it prints what happened.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent), str(HERE.parent / "engines")]
from fault_server import FaultServer  # noqa: E402
from measured_models import boxed, definitions, hashes, plain_model  # noqa: E402

TABLES = ("benchmark_problems", "benchmark_generations", "benchmark_scores", "benchmark_metrics")
FAULTS = ("500", "cut", "garbage", "no answer", "429 seconds", "no choice")


def start(model, server, defined, output):
    command = [
        *(sys.executable, "-c", "from forkpipe.commands.standalone import main; main()", "evaluate", str(model)),
        *("--tags", "text:6", "--base-url", server.url, "--served-name", server.model, "--define", str(defined)),
        *("--benchmarks", "sums:12,fractions:12", "--policy", "tag:1,spread", "--protocol", "avg@12,cons@6,cons@6x2"),
        *("--option", "concurrency=2", "--option", "backoff=0.01", "--output", str(output)),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    log = (output.parent / f"{output.name}.log").open("ab")
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def durable(output):
    """Return the ids of the samples whose lines are whole."""
    store = output / "completions.jsonl"
    lines = store.read_bytes().splitlines(keepends=True) if store.exists() else []
    rows = [json.loads(line) for line in lines if line.endswith(b"\n") and line.strip()]
    return {row["request_id"] for row in rows if row["finish_reason"] != "error"}


def tables(output):
    return {name: pq.read_table(output / f"{name}.parquet").drop_columns(["run_id"]).to_pylist() for name in TABLES}


def seeds_of(output):
    """Return the seed of each request, by which the server knows it."""
    rows = pq.read_table(output / "benchmark_generations.parquet", columns=["request_id", "seed"]).to_pylist()
    return {row["request_id"]: row["seed"] for row in rows}


def prove(folder, kills, latency=0.05):
    """Run once undisturbed and once with kills and faults; return what happened.

    AssertionError if a durable sample was asked for again, or a table differs.
    """
    model, defined = plain_model(folder / "model"), definitions(folder, n_sums=10)
    before = hashes(model)

    def answer(body):
        return body["seed"] % 4

    with FaultServer(model="served", reply=boxed(answer)) as server:
        undisturbed = start(model, server, defined, folder / "undisturbed")
        assert undisturbed.wait(300) == 0, (folder / "undisturbed.log").read_text()
        samples = len(server.requests)
    expected, seeds = tables(folder / "undisturbed"), seeds_of(folder / "undisturbed")
    draw = random.Random(0)

    def fault(number, body):
        return draw.choice(FAULTS) if draw.random() < 0.15 else None

    asked_again, killed_at, requests = [], [], 0
    with FaultServer(model="served", latency=latency, fault=fault, reply=boxed(answer)) as server:
        for number in range(kills):
            process = start(model, server, defined, folder / "killed")
            goal = samples * (number + 1) // (kills + 1)
            deadline = time.monotonic() + 120
            while len(durable(folder / "killed")) < goal and process.poll() is None:
                assert time.monotonic() < deadline, (folder / "killed.log").read_text()
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
            held = durable(folder / "killed")
            killed_at.append(len(held))
            time.sleep(2 * latency)  # what was in flight has been recorded
            requests += len(server.requests)
            server.requests.clear()
            known = {seeds[name] for name in held}
            server.fault = lambda n, body, known=known: _noted(asked_again, known, body) or fault(n, body)
        process = start(model, server, defined, folder / "killed")
        assert process.wait(300) == 0, (folder / "killed.log").read_text()
        requests += len(server.requests)
        faults = dict(server.faults)
    assert not asked_again, f"{len(asked_again)} durable samples were asked for again"
    assert tables(folder / "killed") == expected
    assert hashes(model) == before
    return {"samples": samples, "killed_at": killed_at, "requests": requests, "faults": faults}


def _noted(asked_again, known, body):
    if body["seed"] in known:
        asked_again.append(body["seed"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(prove(Path(place), int(sys.argv[1]) if len(sys.argv) > 1 else 20)))
