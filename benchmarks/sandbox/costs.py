"""What a run in the sandbox costs beside a plain subprocess, in processor time, and what else the goals are about.

    python benchmarks/sandbox/costs.py [--rounds 5] [--runs 20] [--two-workers]

Processor time of this process and of all its children, so that a busy machine changes little. Every figure is a ratio
measured in one run. `--two-workers` measures time by the clock and needs an idle machine.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from forkpipe.sandbox.base import Job, Limits
from forkpipe.sandbox.local import LocalSandbox
from forkpipe.sandbox.programs import PRELUDE_TEXT
from forkpipe.verification.code.verifier import CodeVerifier

TRIVIAL = "print(sum(map(int, input().split())))"
STDIN = b"1 2\n"
FLOOD = """import os
block = b"x" * (1 << 20)
for _ in range(10_000):
    try:
        os.write(1, block)
    except OSError:
        pass
"""


def used():
    """Return the processor time of this process and its ended children."""
    mine, theirs = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


def tree():
    """Return the processor time of this process and of all that lives below it, by their clocks."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parents[int(entry)] = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    below, todo = [], [os.getpid()]
    while todo:
        parent = todo.pop()
        children = [child for child, its_parent in parents.items() if its_parent == parent]
        below += children
        todo += children
    ticks = 0
    for process in below:
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))  # its own, and of the children that it has waited for
    return used() + ticks / os.sysconf("SC_CLK_TCK")


def limit():
    """Set what a plain grader sets."""
    resource.setrlimit(resource.RLIMIT_AS, (2048 << 20, 2048 << 20))
    resource.setrlimit(resource.RLIMIT_CPU, (6, 6))


def plain(program, runs):
    """Run a program by subprocess; return the processor time of a run."""
    before = used()
    for _ in range(runs):
        done = subprocess.run(
            [sys.executable, "-c", program], input=STDIN, capture_output=True, preexec_fn=limit, check=True
        )
        assert done.stdout == b"3\n"
    return (used() - before) / runs


def sandboxed(sandbox, job, runs):
    """Run a job in a sandbox that has started; return the processor time of a run."""
    before = tree()
    assert all(run.stdout == b"3\n" for run in sandbox.run([job] * runs))
    return (tree() - before) / runs


def costs(given):
    """Print the processor time of a run, sandboxed over plain, in shuffled rounds."""
    sandboxes = {name: LocalSandbox(1, name) for name in ("auto", "landlock")}
    jobs = {"trivial": Job((TRIVIAL,), STDIN), "with imports": Job((TRIVIAL,), STDIN, prelude=True)}
    programs = {"trivial": TRIVIAL, "with imports": f"{PRELUDE_TEXT}\n{TRIVIAL}"}
    for sandbox in sandboxes.values():
        sandbox.run([*jobs.values()])
    times = {}
    for _ in range(given.rounds):
        tasks = [("plain", what) for what in jobs] + [(name, what) for name in sandboxes for what in jobs]
        random.shuffle(tasks)
        for name, what in tasks:
            # A tick is 10 ms, so the sandbox makes ten times as many runs.
            spent = (
                plain(programs[what], given.runs)
                if name == "plain"
                else sandboxed(sandboxes[name], jobs[what], given.runs * 10)
            )
            times.setdefault((what, name), []).append(spent)
    for (what, name), spent in sorted(times.items()):
        ratio = median(spent) / median(times[what, "plain"])
        print(f"{what:<14}{name:<10}{median(spent) * 1000:8.2f} ms CPU a run{ratio:8.2f} x plain")
    for sandbox in sandboxes.values():
        sandbox.close()


def start(given):
    """Print what a worker and one run cost, beside an interpreter that does nothing."""
    before = used()
    for _ in range(given.runs):
        subprocess.run([sys.executable, "-I", "-S", "-c", "pass"], check=True)
    nothing = (used() - before) / given.runs
    before = used()
    for _ in range(given.runs // 4):
        sandbox = LocalSandbox(1)
        sandbox.run([Job((TRIVIAL,), STDIN)])
        sandbox.close()
    one = (used() - before) / (given.runs // 4)
    print(f"start of a worker and one run: {one / nothing:.1f} x python -I -S -c pass")


def repeats(given):
    """Print how much faster programs are judged that were judged before."""
    tests = {"version": 1, "language": "python", "kind": "stdin", "cases": [{"input": "1 2\n", "output": "3\n"}] * 3}
    responses = [f"```python\n{TRIVIAL}  # {n}\n```" for n in range(200)]
    verifier = CodeVerifier()
    spent = []
    for _ in range(2):
        before = tree()
        verifier.verify([json.dumps(tests)] * 200, responses, [False] * 200)
        spent.append(tree() - before)
    verifier.close()
    print(f"repeats: {spent[0] / max(spent[1], 0.001):.0f} x less CPU ({spent[0]:.2f} s, {spent[1]:.3f} s for 200)")


def memory(given):
    """Print how much a worker holds, and how much this process grows while a program prints 10 GB."""
    sandbox = LocalSandbox(1, packages=[])
    sandbox.run([Job((TRIVIAL,), STDIN)])
    worker = max(sandbox_resident(), default=0)
    before = int(Path("/proc/self/statm").read_text().split()[1])
    sandbox.run([Job((FLOOD,))])
    grown = (int(Path("/proc/self/statm").read_text().split()[1]) - before) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    sandbox.close()
    print(f"resident: a worker {worker:.0f} MB; the grader grows by {grown:.0f} MB while a program prints 10 GB")


def sandbox_resident():
    """Return the resident megabytes of each worker process."""
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and "sandbox/start.py" in Path(f"/proc/{entry}/cmdline").read_text():
                yield int(Path(f"/proc/{entry}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
        except OSError:
            continue


def two_workers(given):
    """Print how much sooner two workers are done than one, by the clock."""
    seconds = {}
    for workers in (1, 2):
        sandbox = LocalSandbox(workers)
        sandbox.run([Job((TRIVIAL,), STDIN)] * workers)
        started = time.monotonic()
        sandbox.run([Job(("x = sum(i * i for i in range(300_000))\nprint(3)",), STDIN, limits=Limits())] * 200)
        seconds[workers] = time.monotonic() - started
        sandbox.close()
    print(f"two workers over one: {seconds[1] / seconds[2]:.2f} x (load {os.getloadavg()[0]:.1f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--two-workers", action="store_true")
    arguments = parser.parse_args()
    for measure in (costs, start, repeats, memory, *([two_workers] if arguments.two_workers else [])):
        measure(arguments)
