"""Verdicts on the samples of a checkpoint, of which few are in memory at a time."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from forkpipe.core.progress import Progress
from forkpipe.evaluation.unscored import Silent
from forkpipe.parameters import ParallelSettings, VerificationSettings
from forkpipe.stores.tables import Batches
from forkpipe.verification.row_verifier import unlimited
from forkpipe.verification.tables import verdict_tables

CARRIED = ("method", "problem_id", "split", "policy", "tag", "tag_source", "sample", "tokens")
"""Columns of `generations` that `scores` has too."""


def score_generations(
    generations: Any, problems: Any, settings: VerificationSettings, parallel: ParallelSettings | None = None
) -> Batches:
    """Return a verdict for every sample, as the table is saved; samples without an answer are a finding and logged.

    Args:
        generations: table, in memory or stored.
        parallel: one process unless given.
    """
    parallel = parallel or ParallelSettings(workers=1)
    rows = problems.to_pylist()

    def tables() -> Iterator[pa.Table]:
        silent = Silent()
        progress = Progress("score samples", generations.num_rows, unit="samples")
        yield from verdict_tables(
            generations, "scores", CARRIED, rows, unlimited(settings), parallel, None, progress, silent.add
        )
        silent.warn(settings.max_unscored)

    return Batches(tables)
