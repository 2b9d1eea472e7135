"""Clients of OpenAI-compatible servers, timed in turn against one local server of fixed latency.

python benchmarks/clients/compare.py --python distilabel=DIR/bin/python --python curator=DIR/bin/python

A client whose environment is not named runs in this one. Every round times all clients, in an order of its own; what is
compared are the ratios within a round.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
SERVER = HERE.parents[1] / "tests" / "engines" / "fault_server.py"
CLIENTS = ("bare", "bare_aiohttp", "forkpipe", "distilabel", "curator")


@contextmanager
def serve(latency: float) -> Iterator[str]:
    """Serve in a process of its own; yields the address."""
    command = [sys.executable, str(SERVER), "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def timed(python: str, client: str, url: str, n: int, concurrency: int) -> dict[str, float]:
    """Return seconds and processor seconds of one client, in a process of its own."""
    command = [python, str(HERE / "clients.py"), client, url, str(n), str(concurrency)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{client} failed:\n{done.stderr[-2000:]}")
    words = done.stdout.strip().splitlines()[-1].split()
    return {"seconds": float(words[1]), "processor": float(words[3])}


def main() -> None:
    """Time all clients and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", default=[], help="CLIENT=the python of its environment")
    parser.add_argument("--clients", default=",".join(CLIENTS))
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--latency", type=float, default=0.1, help="seconds to a reply")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    pythons = dict(one.split("=", 1) for one in given.python)
    clients = given.clients.split(",")
    found: dict[str, list[dict[str, float]]] = {client: [] for client in clients}
    order = random.Random(0)
    with serve(given.latency) as url:
        for number in range(given.rounds):
            order.shuffle(clients)
            for client in clients:
                python = pythons.get(client, sys.executable)
                result = timed(python, client, url, given.requests, given.concurrency)
                found[client].append(result)
                load = os.getloadavg()[0]
                print(json.dumps({"round": number, "client": client, **result, "load": round(load, 1)}), flush=True)
            print_table(given, found)


def print_table(given: argparse.Namespace, found: dict[str, list[dict[str, float]]]) -> None:
    """Print what the rounds so far say."""
    limit = given.concurrency / given.latency
    print(
        f"\n{given.requests} requests, {given.concurrency} in flight, latency {given.latency} s: at most {limit:.0f}/s"
    )
    print("| client | requests/s, median (range) | to bare, median of rounds (range) | processor ms a request |")
    print("|---|---|---|---|")
    for client in sorted(found, key=CLIENTS.index):
        rates = [given.requests / one["seconds"] for one in found[client]]
        base = [given.requests / one["seconds"] for one in found["bare"]]
        ratios = [rate / other for rate, other in zip(rates, base, strict=True)]
        used = statistics.median(1000 * one["processor"] / given.requests for one in found[client])
        print(
            f"| {client} | {statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f}) "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | {used:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
