"""Nodes of benchmarks: sample models, score the samples, compute metrics and differences."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from forkpipe.core.forking import NO_TAGS
from forkpipe.core.rows import BenchmarkScoreRow
from forkpipe.evaluation.benchmark_metrics import benchmark_differences, benchmark_metrics
from forkpipe.evaluation.benchmark_samples import sample_subject
from forkpipe.evaluation.benchmark_scores import COLUMNS, score_benchmarks
from forkpipe.evaluation.measuring import measurement_of, subjects_of
from forkpipe.evaluation.subjects import Subject
from forkpipe.parameters import VerificationSettings
from forkpipe.parameters.benchmarks import BenchmarksSettings
from forkpipe.parameters.methods import BASE
from forkpipe.pipelines.implementations import models_measured_by, verifiers_of
from forkpipe.stores.completions import CompletionStore
from forkpipe.stores.tables import Batches, StoredTable
from forkpipe.verification.row_verifier import unlimited
from kedro_provenance.recipes import implementations


@implementations(models_measured_by)
def sample_subjects(problems: Any, settings: BenchmarksSettings, seed: int, *, store: CompletionStore) -> Batches:
    """Return the samples of all models that parameters name, as they are read from the store."""
    rows, measurement, measure = problems.to_pylist(), measurement_of(settings, seed), settings.measure

    def tables() -> Any:
        for subject, engine in subjects_of(measure):
            yield from sample_subject(subject, rows, measurement.of(subject), engine, store, measure.batch_rows)

    return Batches(tables)


def sample_method_node(method: str) -> Callable[..., Batches]:
    """Return the node that samples the checkpoint of one method."""

    @implementations(models_measured_by)
    def sample(
        checkpoint: Path, problems: Any, settings: BenchmarksSettings, seed: int, *, store: CompletionStore
    ) -> Batches:
        rows, measurement, measure = problems.to_pylist(), measurement_of(settings, seed), settings.measure
        subject = Subject(method, checkpoint, NO_TAGS if method == BASE else None)
        measured = measurement.of(subject)
        return Batches(lambda: sample_subject(subject, rows, measured, measure.engine, store, measure.batch_rows))

    sample.__name__ = f"sample_{method}_on_benchmarks"
    sample.__doc__ = f"Sample the checkpoint of {method} on the benchmarks."
    return sample


@implementations(verifiers_of)
def score_samples(generations: StoredTable, problems: Any, settings: VerificationSettings) -> list[BenchmarkScoreRow]:
    """Return a verdict and a vote for every sample."""
    batches = generations.batches(COLUMNS)
    return score_benchmarks(batches, problems.to_pylist(), unlimited(settings), generations.num_rows)


def compute_benchmark_metrics(problems: Any, settings: BenchmarksSettings, seed: int, **scores: Any) -> dict[str, Any]:
    """Return rows of `benchmark_metrics` and `benchmark_differences` for all models."""
    import pyarrow as pa

    rows, measurement, table = problems.to_pylist(), measurement_of(settings, seed), pa.concat_tables(scores.values())
    if not table.num_rows:
        return {"metrics": [], "differences": []}
    resamples = settings.measure.bootstrap
    return {
        "metrics": benchmark_metrics(table, rows, measurement),
        "differences": benchmark_differences(table, rows, measurement, resamples=resamples),
    }
