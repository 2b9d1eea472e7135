"""One model measured in one folder: store, tables and results, the same whichever way the samples came.

Each table is replaced as a whole at its end, so a run that is killed is run again: what the store holds is not asked
for again.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from forkpipe.core.errors import InputError
from forkpipe.core.protocols import Protocol, TagPolicy, parse_share
from forkpipe.core.records import Sampling
from forkpipe.core.rows import BenchmarkMetricRow, BenchmarkProblemRow
from forkpipe.evaluation.benchmark_metrics import benchmark_metrics
from forkpipe.evaluation.benchmark_samples import Measurement
from forkpipe.evaluation.benchmark_scores import COLUMNS, score_benchmarks
from forkpipe.evaluation.benchmark_tables import eval_results
from forkpipe.parameters import VerificationSettings
from forkpipe.stores.completions import CompletionStore
from forkpipe.stores.tables import Batches, StoredTable, read_table, write_table
from forkpipe.stores.trace_store.lock import FolderLock

LOCK_FILE = "evaluate.lock"
RESULTS_FOLDER = ".eval_results"
SETTINGS_FILE = "evaluation.json"


@dataclass(frozen=True)
class ResultFolder:
    """The folder of a measurement.

    It holds completions.jsonl (the store), the tables benchmark_problems, benchmark_generations, benchmark_scores and
    benchmark_metrics as Parquet, evaluation.json (what was asked) and .eval_results/ (what the hub reads).
    """

    path: Path

    def check(self, model: Path | None) -> None:
        """Raise InputError if the folder holds other things, or lies in the model's folder, which is read-only."""
        place = self.path.resolve()
        if model is not None and (place == model or model in place.parents):
            raise InputError(f"--output {self.path} lies in the model's folder {model}, which is never written to")
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"--output {self.path} is a file, expected a folder")
        names = {path.name for path in self.path.glob("*")} if self.path.exists() else set()
        if names and LOCK_FILE not in names:
            raise InputError(f"--output {self.path} holds other files, expected a new folder or one of this command")

    def lock(self) -> FolderLock:
        """Return the lock of the folder, not yet taken."""
        self.path.mkdir(parents=True, exist_ok=True)
        return FolderLock(self.path / LOCK_FILE, f"folder {self.path}")

    @property
    def store(self) -> CompletionStore:
        """The store of completions."""
        return CompletionStore(self.path / "completions.jsonl")

    def table(self, name: str) -> str:
        """Return the path of a table."""
        return str(self.path / f"{name}.parquet")

    def write(
        self,
        problems: Sequence[BenchmarkProblemRow],
        generations: Callable[[], Iterator[pa.Table]],
        measurement: Measurement,
        settings: VerificationSettings,
        described: Mapping[str, Any],
        datasets: Mapping[str, tuple[str, str | None]],
    ) -> list[BenchmarkMetricRow]:
        """Write samples, scores and metrics, and return the metrics.

        Args:
            problems: of all benchmarks.
            generations: yields the samples, as tables `benchmark_generations`.
            measurement: what is computed.
            settings: of the verifiers.
            described: what was asked, for evaluation.json.
            datasets: see `benchmark_tables.eval_results`.
        """
        write_table(self.table("benchmark_problems"), "benchmark_problems", problems)
        write_table(self.table("benchmark_generations"), "benchmark_generations", Batches(generations))
        stored = StoredTable(self.table("benchmark_generations"), "benchmark_generations")
        scores = score_benchmarks(stored.batches(COLUMNS), problems, settings, stored.num_rows)
        write_table(self.table("benchmark_scores"), "benchmark_scores", scores)
        metrics = benchmark_metrics(self.scores(), problems, measurement)
        write_table(self.table("benchmark_metrics"), "benchmark_metrics", metrics)
        measured = {
            "benchmarks": [f"{share.name}:{share.n(measurement.protocols)}" for share in measurement.shares],
            "policies": [str(policy) for policy in measurement.policies],
            "protocols": [str(protocol) for protocol in measurement.protocols],
            "seed": measurement.seed,
        }
        text = json.dumps({**described, "measured": measured}, indent=2, sort_keys=True)
        (self.path / SETTINGS_FILE).write_text(text + "\n")
        results = eval_results(metrics, datasets, datetime.now(UTC).date().isoformat())
        (self.path / RESULTS_FOLDER).mkdir(exist_ok=True)
        for benchmark, text in results.items():
            (self.path / RESULTS_FOLDER / f"{benchmark}.yaml").write_text(text)
        return metrics

    def measurement(self) -> Measurement:
        """Return how the model was measured; InputError if the folder holds no whole measurement."""
        try:
            measured = json.loads((self.path / SETTINGS_FILE).read_text())["measured"]
        except (OSError, ValueError, KeyError):
            raise InputError(f"{self.path} holds no measurement, expected the --output of another model") from None
        return Measurement(
            [parse_share(text) for text in measured["benchmarks"]],
            [TagPolicy.parse(text) for text in measured["policies"]],
            [Protocol.parse(text) for text in measured["protocols"]],
            Sampling(),
            measured["seed"],
        )

    def scores(self) -> pa.Table:
        """Return the table of scores; InputError if there is none."""
        if not Path(self.table("benchmark_scores")).is_file():
            raise InputError(f"{self.path} holds no measurement, expected the --output of another model")
        return read_table(self.table("benchmark_scores"), "benchmark_scores")
