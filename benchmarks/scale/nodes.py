"""CPU seconds and peak memory of every node of the data stages, each in a process of its own.

    python benchmarks/scale/data.py FOLDER --problems 500
    python benchmarks/scale/nodes.py FOLDER [--nodes verify_traces,cluster_strategies] [-- more arguments of kedro run]

CPU seconds are those of the command and of all its processes. `main MB` is the peak of the command itself, `tree MB`
the largest sum over it and its processes of the memory that is theirs (PSS), read five times a second. The first row is
a command that runs nothing.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

KEDRO = str(Path(sys.executable).with_name("kedro"))
NODES = (
    "normalise_problems", "remove_overlaps", "generate_traces", "verify_traces", "cluster_strategies",
    "build_trace_sets", "collect_rejected", "report_generation",
)  # fmt: skip

COLUMNS = {"cpu_s": 1, "wall_s": 1, "main_mb": 0, "tree_mb": 0}
"""Columns of the table, with their decimals."""


def family(root: int) -> list[int]:
    """Return a process and all that it has started."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    members = [root]
    for process in members:
        members += parents.get(process, [])
    return members


def own_memory(process: int) -> float:
    """Return the megabytes that are a process's own share (PSS)."""
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def peak(process: int) -> float:
    """Return the peak of a process so far, in megabytes."""
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def run(folder: Path, *arguments: str) -> dict[str, float]:
    """Run a command of Kedro; return its figures."""
    environment = {**os.environ, "DO_NOT_TRACK": "1", "KEDRO_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = f"{folder / 'src'}:{os.environ.get('PYTHONPATH', '')}"
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with (folder / "output.log").open("ab") as log:
        process = subprocess.Popen([KEDRO, *arguments], cwd=folder, env=environment, stdout=log, stderr=log)
        main = tree = 0.0
        while process.poll() is None:
            main = max(main, peak(process.pid))
            tree = max(tree, sum(map(own_memory, family(process.pid))))
            time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"kedro {' '.join(arguments)} failed: see {folder / 'output.log'}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_s": cpu, "wall_s": time.monotonic() - started, "main_mb": main, "tree_mb": tree}


def main() -> None:
    """Run the nodes and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nodes", default=",".join(NODES))
    parser.add_argument("more", nargs="*")
    given = parser.parse_args()
    print(f"{'node':22} {'CPU s':>8} {'wall s':>8} {'main MB':>8} {'tree MB':>8}", flush=True)
    for name in ("nothing", *given.nodes.split(",")):
        arguments = (
            ("registry", "list") if name == "nothing" else ("run", "--env=scale", f"--nodes={name}", *given.more)
        )
        figures = run(given.folder, *arguments)
        cells = (f"{figures[column]:8.{digits}f}" for column, digits in COLUMNS.items())
        print(f"{name:22} {' '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
