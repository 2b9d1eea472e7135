"""Rows of the table `benchmark_problems`: the problems of benchmarks, with what models are asked."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from forkpipe.core.errors import InputError
from forkpipe.core.rows import BenchmarkProblemRow
from forkpipe.parameters.benchmarks import BENCHMARKS, Benchmark, BenchmarksSettings
from forkpipe.problems.benchmarks import load_benchmark, render


def benchmark_rows(
    names: Sequence[str],
    *,
    files: Mapping[str, str] | None = None,
    benchmarks: Mapping[str, Benchmark] = BENCHMARKS,
    prompt: str | None = None,
    cache: Path | None = None,
    tests: str | Path | None = None,
) -> tuple[list[BenchmarkProblemRow], dict[str, tuple[str, str | None]]]:
    """Return the rows of some benchmarks, and where the hub has those that it has: (data set, commit).

    Args:
        names: keys of `benchmarks`, each once.
        files: benchmark -> file to read instead of fetching one.
        benchmarks: the benchmarks that there are.
        prompt: in place of each benchmark's own.
        cache, tests: see `load_benchmark`.

    Raises:
        InputError: see `load_benchmark`; a file is given for a benchmark that is not named, or a name stands twice.
    """
    for name in files or {}:
        if name not in names:
            raise InputError(f"a file is given for benchmark '{name}', which is not measured")
    if doubled := sorted({name for name in names if list(names).count(name) > 1}):
        raise InputError(f"benchmark '{doubled[0]}' is named twice, expected it once")
    rows: list[BenchmarkProblemRow] = []
    datasets: dict[str, tuple[str, str | None]] = {}
    for name in names:
        problems = load_benchmark(name, files=files, benchmarks=benchmarks, cache=cache, tests=tests)
        benchmark = problems.benchmark
        if benchmark.source.hub:
            # A file of the user's has the content of some source, perhaps not of this commit.
            datasets[name] = benchmark.source.hub, None if name in (files or {}) else benchmark.source.revision
        for problem in problems:
            metadata = json.loads(problem.metadata)
            subsets = [f"{column}={metadata[column]}" for column in benchmark.subsets]
            asked = render(problem, prompt or benchmark.prompt)
            rows.append({**problem.to_row(), "benchmark": name, "prompt": asked, "subsets": subsets})
    return rows, datasets


def load_benchmarks(settings: BenchmarksSettings) -> list[BenchmarkProblemRow]:
    """Return the rows of the benchmarks that a run uses, fetched where there is no file of this machine."""
    files = {name: path for name, path in settings.files.items() if name in settings.use}
    return benchmark_rows(
        settings.use, files=files, benchmarks=settings.known, prompt=settings.prompt, tests=settings.tests
    )[0]
