"""Time the verifier against math-verify in one process, on the same pairs and with the same verdicts.

python benchmarks/verify/compare.py FILE [FILE ...] [--gold gold] [--response pred] [--repeat 3] [--workers 2]

Each file holds gold answers and responses. math-verify gets what the verifier gives it (the extracted answer in a
box, gold between dollars), parses and compares it with its own time-outs, and starts with its import. The verifier
starts cold, with no process and nothing known: once with its rewrite rules and guards off, and once with them on. The
second pass asks the same again. Processor seconds do not depend on what else the machine does, wall seconds do. Last,
threads, async code and processes ask together and must get the same verdicts; Ray actors too where Ray is installed.
"""

import argparse
import asyncio
import importlib.util
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from forkpipe.core.read_rows import read_rows
from forkpipe.verification.math import MathVerifier

Pairs = list[tuple[str, str]]

ALONE = """
import json, logging, sys, time
started = time.perf_counter()
import math_verify
from forkpipe.verification.answers import find_answer, gold_answer
from forkpipe.verification.math_reading import as_latex
logging.disable(logging.CRITICAL)
verdicts = []
for gold, response in json.load(sys.stdin):
    answer = find_answer(response)
    if answer is None:
        verdicts.append("unparsed")
        continue
    gold = as_latex(gold_answer(gold))
    expected = math_verify.parse(gold if "$" in gold.replace("\\\\$", "") else f"${gold}$")
    found = math_verify.parse("\\\\boxed{%s}" % as_latex(answer.text))
    verdicts.append("correct" if math_verify.verify(expected, found) else "wrong")
print(json.dumps([time.perf_counter() - started, verdicts]))
"""


def processor_seconds() -> float:
    """Return the processor time of this process and of all children that have ended."""
    parts = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in parts)


def alone(pairs: Pairs) -> tuple[float, list[str]]:
    """Return seconds and verdicts of math-verify in one new process, its import included."""
    done = subprocess.run([sys.executable, "-c", ALONE], input=json.dumps(pairs), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    seconds, verdicts = json.loads(done.stdout.splitlines()[-1])
    return seconds, verdicts


def ours(pairs: Pairs, workers: int, without: list[str]) -> tuple[float, float, list[str]]:
    """Return seconds of the first and the second pass of a new verifier, and its verdicts."""
    verifier = MathVerifier(workers=workers, without=without)
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        found = ask(verifier, pairs)
        seconds.append(time.perf_counter() - started)
    verifier.close()
    return seconds[0], seconds[1], found


def ask(verifier: MathVerifier, pairs: Pairs) -> list[str]:
    """Return the verdicts of pairs."""
    golds, responses = [gold for gold, _ in pairs], [response for _, response in pairs]
    return [verdict.verdict for verdict in verifier.verify(golds, responses, [False] * len(pairs))]


def in_process(pairs: Pairs) -> list[str]:
    """Ask from a process of its own."""
    verifier = MathVerifier(workers=1)
    found = ask(verifier, pairs)
    verifier.close()
    return found


def from_everywhere(pairs: Pairs, expected: list[str], workers: int) -> None:
    """Print whether threads, async code, processes and Ray actors get the same verdicts."""
    verifier = MathVerifier(workers=workers)

    async def together() -> list[list[str]]:
        return await asyncio.gather(*(asyncio.to_thread(ask, verifier, pairs) for _ in range(3)))

    with ThreadPoolExecutor(4) as threads:
        print("threads:", all(found == expected for found in threads.map(lambda _: ask(verifier, pairs), range(4))))
    print("async:", all(found == expected for found in asyncio.run(together())))
    verifier.close()
    with multiprocessing.get_context("spawn").Pool(2) as processes:
        print("processes:", all(found == expected for found in processes.map(in_process, [pairs] * 2)))
    if importlib.util.find_spec("ray") is None:
        print("Ray actors: Ray is not installed")
        return
    import ray

    ray.init(num_cpus=2, include_dashboard=False)
    remote = ray.remote(in_process)
    print("Ray:", all(found == expected for found in ray.get([remote.remote(pairs) for _ in range(2)])))
    ray.shutdown()


def main() -> None:
    """Print seconds, ratios and whether verdicts agree, a line a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--gold", default="gold")
    parser.add_argument("--response", default="pred")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    print("| pairs | of | math-verify s | cold s | ratio | rules on s | ratio | second s | ratio | other verdicts |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for path in given.files:
        pairs: Pairs = []
        for _, row in read_rows(path):
            said = row[given.response]
            pairs.append((row[given.gold], said if "boxed" in said or len(said) > 300 else f"\\boxed{{{said}}}"))
        spent = [processor_seconds()]
        theirs = [alone(pairs) for _ in range(given.repeat)]
        spent.append(processor_seconds())
        off = [ours(pairs, given.workers, ["all"]) for _ in range(given.repeat)]
        spent.append(processor_seconds())
        on = [ours(pairs, given.workers, []) for _ in range(given.repeat)]
        spent.append(processor_seconds())
        base = statistics.median(seconds for seconds, _ in theirs)
        cold, rules = (statistics.median(run[0] for run in runs) for runs in (off, on))
        second = statistics.median(run[1] for run in on)
        # what cannot be parsed is wrong to math-verify
        other = Counter(
            f"{a}/{b}" for a, b in zip(theirs[0][1], off[0][2], strict=True) if (a == "correct") != (b == "correct")
        )
        print(
            f"| {len(pairs)} | {path.rsplit('/', 1)[-1]} | {base:.2f} | {cold:.2f} | {base / cold:.2f} | {rules:.2f} | "
            f"{base / rules:.2f} | {second:.3f} | {base / second:.0f} | {dict(other) or 'none'} |",
            flush=True,
        )
        alone_s, off_s, on_s = ((after - before) / given.repeat for before, after in pairwise(spent))
        load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
        print(
            f"  processor seconds a run: {alone_s:.2f} alone, {off_s:.2f} with the rules off ({off_s / alone_s:.2f}), "
            f"{on_s:.2f} with the rules on ({on_s / alone_s:.2f}); load {load}",
            flush=True,
        )
    from_everywhere(pairs[:200], on[0][2][:200], given.workers)


if __name__ == "__main__":
    main()
