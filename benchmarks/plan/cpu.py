"""What a plan and a run that does nothing cost, beside a Kedro project with one node: CPU seconds of whole commands.

    python benchmarks/plan/cpu.py [--repeats 3] [--traces 100000]

A project made by `forkpipe new` makes the trace sets of the environment smoke. Then its tables of traces and verdicts
are replaced by larger ones, which `kedro accept` takes as they are. A figure is the smallest of the repeats.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

from forkpipe.datasets.table import TableDataset

KEDRO = str(Path(sys.executable).with_name("kedro"))
ENVIRONMENT = {**os.environ, "DO_NOT_TRACK": "1", "KEDRO_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}
SMOKE = ("--env=smoke", "--pipelines=trace_generation")


def kedro(folder: Path, *arguments: str) -> float:
    """Run a command of Kedro; return the CPU seconds of its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [KEDRO, *arguments],
        cwd=folder,
        env={**ENVIRONMENT, "PYTHONPATH": f"{folder / 'src'}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"kedro {' '.join(arguments)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def bare_project(folder: Path) -> Path:
    """Make a Kedro project with one node and nothing else."""
    package = folder / "src" / "bare"
    for name in (package, folder / "conf" / "base", folder / "conf" / "local"):
        name.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        '[tool.kedro]\npackage_name = "bare"\nproject_name = "bare"\nkedro_init_version = "1.7.0"\nsource_dir = "src"\n'
    )
    (folder / ".telemetry").write_text("consent: false\n")
    for name in ("catalog.yml", "parameters.yml"):
        (folder / "conf" / "base" / name).write_text("")
    for name in ("__init__.py", "settings.py"):
        (package / name).write_text("")
    (package / "pipeline_registry.py").write_text(
        "from kedro.pipeline import Pipeline, node\n\n\ndef one():\n    return 1\n\n\n"
        'def register_pipelines():\n    return {"__default__": Pipeline([node(one, None, "o", name="one")])}\n'
    )
    return folder


def enlarge(folder: Path, table: str, rows: int) -> None:
    """Repeat the rows of a table, each under ids of its own, until there are so many."""
    (path,) = folder.glob(f"data/smoke/**/{table}.parquet")
    held = pq.read_table(path).to_pylist()
    ids = [name for name in ("trace_id", "request_id") if name in held[0]]
    grown = [
        {**held[n % len(held)], **{name: f"{held[n % len(held)][name][:8]}{n:08x}" for name in ids}}
        for n in range(rows)
    ]
    TableDataset(filepath=str(path), table=table).save(grown)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--traces", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        bare, project = bare_project(Path(temporary) / "bare"), Path(temporary) / "project"
        subprocess.run(
            [str(Path(KEDRO).with_name("forkpipe")), "new", str(project)],
            check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        figures: dict[str, float] = {}

        def measure(what: str, folder: Path, *arguments: str) -> None:
            figures[what] = min(kedro(folder, *arguments) for _ in range(given.repeats))
            over = figures[what] - figures["bare project, kedro run"]
            print(f"{figures[what]:6.2f} s  {over:+6.2f} s over bare  {what}", flush=True)

        measure("bare project, kedro run", bare, "run")
        measure("kedro plan of conf/base, nothing made yet", project, "plan")
        kedro(project, "run", *SMOKE)
        measure("kedro plan, all fresh", project, "plan", *SMOKE)
        measure("kedro run, all fresh", project, "run", *SMOKE)
        enlarge(project, "traces", given.traces)
        enlarge(project, "verdicts", given.traces)
        kedro(project, "accept", *SMOKE)
        measure(f"kedro plan, all fresh, {given.traces} traces", project, "plan", *SMOKE)
        measure(f"kedro run, all fresh, {given.traces} traces", project, "run", *SMOKE)
        for path in project.glob("data/smoke/**/traces.parquet"):
            path.touch()
        print(f"{kedro(project, 'plan', *SMOKE):6.2f} s  first plan after touching traces.parquet")
        print(f"{kedro(project, 'plan', *SMOKE):6.2f} s  second plan after touching traces.parquet")


if __name__ == "__main__":
    main()
