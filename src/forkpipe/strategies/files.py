"""Compare the pairs or cluster the traces of a user's file: what `forkpipe strategies` does."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from forkpipe.core.errors import InputError
from forkpipe.core.read_rows import read_rows, text_of
from forkpipe.strategies.api import compare
from forkpipe.strategies.clusterer import THRESHOLD

Row = dict[str, Any]

TEXT_FIELDS = ("trace", "text", "response", "solution")
"""Fields that may hold a trace; the first one that a row has is read."""


def compare_file(path: str, output: str | None, threshold: float = THRESHOLD) -> int:
    """Write {"distance", "label"} for every row of a file of pairs, in order; return the number of rows.

    Args:
        path: rows with `problem`, `a` and `b`.
        output: JSONL, which appears when all rows are done; None writes to standard output, row by row.
        threshold: largest distance at which two traces are "same".

    Raises:
        InputError: a file, row or field is wrong; the message names it.
    """
    if output is None:
        return _write(path, threshold, sys.stdout)
    if not Path(output).absolute().parent.is_dir():
        raise InputError(f"{output}: no such folder")
    if Path(output).resolve() == Path(path).resolve():
        raise InputError(f"{output}: is also the input, expected another file")
    temporary = Path(f"{output}.partial")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            count = _write(path, threshold, file)
        temporary.replace(output)
    except OSError as error:
        raise InputError(f"{output}: cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _write(path: str, threshold: float, file: TextIO) -> int:
    count = 0
    for number, row in read_rows(path):
        problem, a, b = (text_of(row, field, f"{path} row {number}") for field in ("problem", "a", "b"))
        pair = compare(problem, a, b, threshold)
        file.write(json.dumps({"distance": round(pair.distance, 6), "label": pair.label}) + "\n")
        file.flush()
        count += 1
    if not count:
        raise InputError(f"{path} has no rows, expected at least one")
    return count


def groups_of(path: str, text_field: str | None = None) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield (problem, texts, teachers) for every problem of a file, in the order of their first rows.

    The rows hold `problem`, a text and perhaps a `teacher`. `text_field` names the text; None takes the first of
    `TEXT_FIELDS` that a row has. InputError as `core.read_rows.text_of`.
    """
    groups: dict[str, tuple[list[str], list[str]]] = {}
    for number, row in read_rows(path):
        field = text_field or next((name for name in TEXT_FIELDS if name in row), TEXT_FIELDS[0])
        texts, teachers = groups.setdefault(text_of(row, "problem", f"{path} row {number}"), ([], []))
        texts.append(text_of(row, field, f"{path} row {number}"))
        teacher = row.get("teacher")
        teachers.append(str(teacher) if teacher is not None else f"row {number}")
    if not groups:
        raise InputError(f"{path} has no rows, expected at least one")
    for problem, (texts, teachers) in groups.items():
        yield problem, texts, teachers
