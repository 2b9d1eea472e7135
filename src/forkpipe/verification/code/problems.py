"""Published data sets of programs as rows of problem, answer and id, with what else they say of a problem."""

from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.read_rows import read_rows
from forkpipe.verification.code.livecodebench import NO_ERRATA, in_window, prompt_of, with_starter
from forkpipe.verification.code.readers import gold_text, read_program
from forkpipe.verification.code.store import CaseStore

SUBSETS = ("difficulty", "platform", "errata")
"""Columns by whose values figures are given too."""


def read_problems(
    path: str,
    *,
    tests: str | None = None,
    window: str | None = None,
    public_only: bool = False,
    prompt: bool = False,
    errata: bool = True,
) -> list[dict[str, Any]]:
    """Return the problems of a data set of `readers.read_program`.

    Args:
        path: JSONL, gzipped JSONL, Parquet or CSV; path or URL.
        tests: folder for test cases that are too large for a table.
        window: of LiveCodeBench, see `livecodebench.WINDOWS`.
        public_only: take LiveCodeBench's public tests where the private ones are missing; each row says so.
        prompt: put problems as lighteval does for the paper's figures; else the statement is followed by the starter
            code, if there is any.
        errata: false leaves out the problems that LiveCodeBench's errata name.

    Raises:
        InputError: the file has no rows, a row is of no known data set, or the window does not hold the number of
            problems that it must.
    """
    store = CaseStore(tests)
    rows: list[dict[str, Any]] = []
    for number, row in read_rows(path):
        program = read_program(row, f"{path} row {number}", public_only=public_only)
        starter = program.metadata.get("starter_code", "")
        rows.append(
            {
                **program.metadata,
                "problem": (prompt_of if prompt else with_starter)(program.problem, starter),
                "answer": gold_text(program.tests, store),
                "id": program.source_id or str(number),
                "public_only": bool(program.tests.get("partial")),
                "solution": program.solution,
            }
        )
    if not rows:
        raise InputError(f"{path}: has no rows")
    if window is not None:
        rows = in_window(rows, window, path)
    return rows if errata else [row for row in rows if row.get("errata", NO_ERRATA) == NO_ERRATA]
