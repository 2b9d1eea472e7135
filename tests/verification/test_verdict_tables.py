"""Verdicts of a stored table: in its order, a part at a time, the same as those of its rows."""

import pyarrow as pa

from forkpipe.core.progress import Progress
from forkpipe.parameters import ParallelSettings, VerificationSettings
from forkpipe.stores.results import ResultStore
from forkpipe.stores.tables import StoredTable, write_table
from forkpipe.verification import tables
from forkpipe.verification.dispatch import ResponseRow
from forkpipe.verification.row_verifier import RowVerifier
from forkpipe.verification.tables import verdict_tables

PROBLEMS = [
    {
        "problem_id": f"p{n}", "problem": "?", "answer": str(n), "answer_type": "text", "source": "s",
        "source_id": str(n), "split": "train", "metadata": "{}",
    }
    for n in range(7)
]  # fmt: skip


def trace(n):
    """Traces of a problem lie together, apart from the last five; one in six failed, one in five was cut."""
    problem = (n // 9 if n < 58 else n) % 7
    reason = "error" if n % 6 == 5 else "length" if n % 5 == 4 else "stop"
    return {
        "request_id": f"{n:016x}", "attempt": 0, "trace_id": f"t{n}", "problem_id": f"p{problem}", "teacher": "a",
        "teacher_revision": "", "sample": n, "seed": 0, "prompt": "", "prompt_hash": "", "sampling": "{}",
        "text": f"<answer>{problem if n % 3 else 'x'}</answer>", "reasoning": "", "tokens_in": 0, "tokens_out": 1,
        "finish_reason": reason, "status": "failed" if reason == "error" else "done", "error": "", "seconds": 0.0,
    }  # fmt: skip


def verify(rows, settings):
    with RowVerifier(settings) as verifier:
        return verifier.verify(
            [
                ResponseRow("text", row["problem_id"][1:], row["text"], row["status"], row["finish_reason"])
                for row in rows
            ]
        )


def test_a_stored_table_gets_the_verdicts_of_its_rows_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "ROWS", 10)
    monkeypatch.setattr(tables, "MOST_ROWS", 4)
    rows = [trace(n) for n in range(63)]
    write_table(str(tmp_path / "traces.parquet"), "traces", rows)
    settings = VerificationSettings(verifiers={"text": "exact"}, max_unscored=1.0)
    expected = [
        {"trace_id": row["trace_id"], **verdict} for row, verdict in zip(rows, verify(rows, settings), strict=True)
    ]
    store = ResultStore(tmp_path / "kept")
    for table in (StoredTable(str(tmp_path / "traces.parquet"), "traces"), pa.Table.from_pylist(rows)):
        parts = list(
            verdict_tables(
                table, "verdicts", ["trace_id"], PROBLEMS, settings, ParallelSettings(workers=1), store,
                Progress("v", 63, unit="traces"),
            )
        )  # fmt: skip
        assert max(map(len, parts)) < 10 + 4
        found = pa.concat_tables(parts).drop_columns(["run_id"]).to_pylist()
        assert found == expected
