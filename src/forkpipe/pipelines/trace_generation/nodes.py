"""Nodes of trace generation: verify the traces."""

from typing import Any

from forkpipe.core.progress import Progress
from forkpipe.parameters import ParallelSettings, VerificationSettings
from forkpipe.pipelines.implementations import verifiers_of
from forkpipe.stores.results import ResultStore
from forkpipe.stores.tables import Batches
from forkpipe.verification.tables import verdict_tables
from kedro_provenance.recipes import implementations


@implementations(verifiers_of)
def verify_traces(
    traces: Any, problems: Any, settings: VerificationSettings, parallel: ParallelSettings, *, store: ResultStore
) -> Batches:
    """Return a verdict for every trace, as the table is saved; the store keeps each as it comes."""
    rows = problems.to_pylist()
    progress = Progress("verify traces", traces.num_rows, unit="traces")
    return Batches(lambda: verdict_tables(traces, "verdicts", ["trace_id"], rows, settings, parallel, store, progress))
