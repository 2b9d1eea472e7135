"""Verdicts for the rows of a stored table, of which a few batches are in memory at a time."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa

from forkpipe.core.progress import Progress, logger
from forkpipe.core.records import Problem
from forkpipe.core.rows import ProblemRow, VerdictColumns
from forkpipe.parameters import VerificationSettings
from forkpipe.parameters.parallel import ParallelSettings
from forkpipe.stores import run_id
from forkpipe.stores.groups import source_of
from forkpipe.stores.results import ResultStore
from forkpipe.stores.tables import to_table
from forkpipe.verification.dispatch import ResponseRow
from forkpipe.verification.kept import verdicts_of
from forkpipe.verification.row_verifier import RowVerifier

ROWS = 4096
"""Rows that are saved at a time."""
END = 80
"""Characters of a text that are shown in messages."""
MOST_ROWS = 64
"""Rows that are verified together: those of a problem, or a part of them."""


def verdict_tables(
    table: Any,
    name: str,
    carried: Sequence[str],
    problems: Sequence[ProblemRow],
    settings: VerificationSettings,
    parallel: ParallelSettings,
    store: ResultStore | None,
    progress: Progress,
    watch: Callable[[Mapping[str, Any], str, VerdictColumns], None] | None = None,
) -> Iterator[pa.Table]:
    """Yield the verdicts on the rows of a table, in order, as parts of the table `name`.

    Args:
        table: with problem_id, text, finish_reason, and status where a response may have failed; in memory or stored.
        carried: its columns that the verdicts get too.
        problems: rows of the `problems` table.
        store: of kept verdicts; None keeps none.
        progress: told how far it is.
        watch: called with what each row carries, the end of its text, and its verdict.
    """
    source = source_of(table)
    by_id = {row["problem_id"]: Problem.from_row(row) for row in problems}
    waiting: deque[list[tuple[dict[str, Any], str]]] = deque()
    counts: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    responses = _responses(source, carried, by_id, settings, waiting)
    done = 0
    for verdicts in verdicts_of(responses, source.num_rows, settings, parallel, store):
        for (row, end), verdict in zip(waiting.popleft(), verdicts, strict=True):
            rows.append({**row, **verdict})
            if watch is not None:
                watch(row, end, verdict)
        counts.update(verdict["verdict"] for verdict in verdicts)
        done += len(verdicts)
        progress.update(done)
        if len(rows) >= ROWS:
            yield to_table(rows, name, run_id.current())
            rows = []
    yield to_table(rows, name, run_id.current())
    logger.info("verified %d %s: %s", done, progress.unit, ", ".join(f"{n} {name}" for name, n in counts.most_common()))


def _responses(
    source: Any,
    carried: Sequence[str],
    by_id: Mapping[str, Problem],
    settings: VerificationSettings,
    waiting: deque[list[tuple[dict[str, Any], str]]],
) -> Iterator[list[ResponseRow]]:
    """Yield the rows of a problem that lie together, and put the columns that they carry among the waiting ones."""
    read = [*carried, "problem_id", "text", "finish_reason"]
    read += ["status"] if "status" in source.column_names else []
    with RowVerifier(settings) as verifier:
        for batch in source.batches(list(dict.fromkeys(read)), MOST_ROWS * 16):
            for problem_id, group in groupby(batch.to_pylist(), key=lambda row: row["problem_id"]):
                problem, rows = by_id[problem_id], list(group)
                gold = verifier.gold_of(problem)
                for start in range(0, len(rows), MOST_ROWS):
                    part = rows[start : start + MOST_ROWS]
                    waiting.append([({column: row[column] for column in carried}, row["text"][-END:]) for row in part])
                    yield [
                        ResponseRow(
                            problem.answer_type, gold, row["text"], row.get("status", "done"), row["finish_reason"]
                        )
                        for row in part
                    ]
