"""Kills verify_traces and cluster_strategies at random points; checks that nothing that was done is done again.

    python benchmarks/scale/data.py FOLDER --problems 300
    (cd FOLDER; kedro run --env=scale --nodes=normalise_problems,remove_overlaps,generate_traces)
    python benchmarks/scale/kills.py FOLDER [--kills 20] [--seed 0]

First a run from scratch goes undisturbed. Each kill is SIGKILL for the command alone, at a time that is drawn; its
workers have to end by themselves, and the stores must hold at least what they held before. At the end a run goes on
undisturbed, and its tables must be those of the first, which `same.py` says.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from nodes import KEDRO, family

from forkpipe.stores.results import ResultStore

NODES = "verify_traces,cluster_strategies"
STORES = ("03_primary/verdict_store", "04_feature/strategy_store")


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start the two nodes."""
    environment = {**os.environ, "DO_NOT_TRACK": "1", "KEDRO_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = f"{folder / 'src'}:{os.environ.get('PYTHONPATH', '')}"
    with (folder / "kills.log").open("ab") as log:
        return subprocess.Popen(
            [KEDRO, "run", "--env=scale", f"--nodes={NODES}"], cwd=folder, env=environment, stdout=log, stderr=log
        )


def held(tables: Path) -> dict[str, set[int]]:
    """Return the keys of both stores."""
    keys: dict[str, set[int]] = {}
    for name in STORES:
        with ResultStore(tables / name) as store:
            keys[name] = {int(key) for number in store._shards for key in store._keys_of(number)[0]}
    return keys


def gone(process: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def main() -> int:
    """Kill, go on, compare; return the number of faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    tables, draw, faults = given.folder / "data" / "scale" / "seed0", random.Random(given.seed), 0
    for name in STORES:
        shutil.rmtree(tables / name, ignore_errors=True)
    started = time.monotonic()
    if start(given.folder).wait():
        raise SystemExit(f"the undisturbed run failed: see {given.folder / 'kills.log'}")
    whole = time.monotonic() - started
    scratch = given.folder / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(tables, scratch, ignore=shutil.ignore_patterns("*_store"))
    for name in STORES:
        shutil.rmtree(tables / name)
    before = held(tables)
    for number in range(given.kills):
        process = start(given.folder)
        deadline = time.monotonic() + draw.uniform(0.1, 1.0) * whole
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        workers = family(process.pid)[1:]
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(3)
        left = [worker for worker in workers if not gone(worker)]
        now = held(tables)
        lost = sum(len(before[name] - now[name]) for name in STORES)
        faults += bool(left) + bool(lost)
        print(
            f"kill {number + 1}: {', '.join(f'{len(now[name])} in {Path(name).name}' for name in STORES)}; "
            f"{lost} lost, {len(left)} processes left",
            flush=True,
        )
        before = now
    if start(given.folder).wait():
        raise SystemExit(f"the last run failed: see {given.folder / 'kills.log'}")
    same = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("same.py")), str(tables), str(scratch)], check=False
    )
    return faults + same.returncode


if __name__ == "__main__":
    sys.exit(main())
