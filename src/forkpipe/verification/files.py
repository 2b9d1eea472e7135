"""Verdicts for the rows of a user's file, written beside them: what `forkpipe verify` does."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from forkpipe.core.errors import InputError
from forkpipe.core.read_rows import read_rows
from forkpipe.core.records import VERDICTS, Verdict
from forkpipe.verification.base import Verifier
from forkpipe.verification.dispatch import ResponseRow, verify_by_type
from forkpipe.verification.limits import check_scored

CHUNK = 2048
"""Rows held at a time: they can be long traces."""

COLUMNS = ("verdict", "extracted", "extracted_from", "rule", "verifier_version")
OUTPUTS = (".jsonl", ".parquet")
ROWS_NAMED = 10


class Summary(NamedTuple):
    """What came of a file: verdicts counted, and the rows whose gold answer could not be read."""

    counts: Counter[str]
    unreadable_gold: list[int]

    def __str__(self) -> str:
        total = sum(self.counts.values())
        lines = [f"{'verdict':<10}{'rows':>10}{'share':>9}"]
        lines += [f"{name:<10}{n:>10}{n / total:>9.1%}" for name in VERDICTS if (n := self.counts[name])]
        lines.append(f"{'all':<10}{total:>10}")
        if self.unreadable_gold:
            named = ", ".join(map(str, self.unreadable_gold[:ROWS_NAMED]))
            more = ", ..." if len(self.unreadable_gold) > ROWS_NAMED else ""
            lines.append(f"gold answers that cannot be read: {len(self.unreadable_gold)} (rows {named}{more})")
        return "\n".join(lines)


def verify_file(
    path: str,
    output: str,
    *,
    gold: str,
    response: str,
    verifier: Verifier,
    finish_reason: str | None = None,
    max_unscored: float = 1.0,
    on_progress: Callable[[int], None] | None = None,
) -> Summary:
    """Write the rows of a file, in order, with the columns of `COLUMNS`; the output appears when all is done.

    Args:
        path: JSONL, JSONL.gz, Parquet or CSV.
        output: JSONL or Parquet by its ending.
        gold: column of the gold answers: text or numbers.
        response: column of the responses: text; null is `failed`.
        verifier: see `base.Verifier`.
        finish_reason: column that is "length" where a response was cut.
        max_unscored: share of verdicts that may be unparsed, timeout or failed.
        on_progress: called with the number of rows done.

    Raises:
        InputError: a file, a row or a field is wrong, named; or the verifier says too little.
    """
    if not output.endswith(OUTPUTS):
        raise InputError(f"{output}: unknown format, expected a name that ends in one of: {', '.join(OUTPUTS)}")
    if not Path(output).absolute().parent.is_dir():
        raise InputError(f"{output}: no such folder")
    if os.path.realpath(output) == os.path.realpath(path):
        raise InputError(f"{output}: is the input too, expected another file")
    counts: Counter[str] = Counter()
    unreadable: list[int] = []
    said: tuple[list[Verdict], list[str]] = [], []
    gives_detail = getattr(verifier, "gives_detail", False)

    def verified() -> Iterator[dict[str, Any]]:
        rows = read_rows(path)
        while chunk := list(islice(rows, CHUNK)):
            asked = [_asked(path, number, row, gold, response, finish_reason) for number, row in chunk]
            for (number, row), answered, (verdict, _, version) in zip(
                chunk, asked, verify_by_type({"": verifier}, asked), strict=True
            ):
                counts[verdict.verdict] += 1
                if verdict.rule == "gold-unparsed":
                    unreadable.append(number)
                said[0].append(Verdict(verdict.verdict, rule=verdict.rule))
                said[1].append(answered.response[-60:])
                values = (verdict.verdict, verdict.extracted, verdict.extracted_from, verdict.rule, version)
                detail = {"detail": verdict.detail} if gives_detail else {}
                if gives_detail and "detail" in row:
                    raise InputError(f"{path} row {number}: column 'detail' would be overwritten, rename it")
                yield {**row, **dict(zip(COLUMNS, values, strict=True)), **detail}
            if on_progress is not None:
                on_progress(len(said[0]))

    temporary = f"{output}.partial"
    try:
        (_write_parquet if output.endswith(".parquet") else _write_jsonl)(temporary, verified())
        if not counts:
            raise InputError(f"{path} has no rows, expected at least one")
        check_scored(*said, max_unscored)
        os.replace(temporary, output)
    except OSError as error:
        raise InputError(f"{output}: cannot be written: {error.strerror or error}") from error
    finally:
        Path(temporary).unlink(missing_ok=True)
    return Summary(counts, unreadable)


def _asked(
    path: str, number: int, row: Mapping[str, Any], gold: str, response: str, finish_reason: str | None
) -> ResponseRow:
    where = f"{path} row {number}"
    for column in (gold, response, *([finish_reason] if finish_reason else [])):
        if column not in row:
            raise InputError(f"{where}: column '{column}' is missing, the row has: {', '.join(row) or 'none'}")
    if taken := [column for column in COLUMNS if column in row]:
        raise InputError(f"{where}: column '{taken[0]}' is there already and would be overwritten, rename it")
    expected, said = row[gold], row[response]
    if isinstance(expected, dict):  # tests of a program, as an object in place of its JSON text
        expected = json.dumps(expected, ensure_ascii=False)
    if isinstance(expected, bool) or not isinstance(expected, str | int | float):
        raise InputError(f"{where}: column '{gold}' is {type(expected).__name__}, expected text or a number")
    if not isinstance(said, str | None):
        raise InputError(f"{where}: column '{response}' is {type(said).__name__}, expected text")
    cut = finish_reason is not None and row[finish_reason] == "length"
    status, finish = "failed" if said is None else "done", "length" if cut else "stop"
    return ResponseRow("", str(expected), said or "", status, finish)


def _write_jsonl(path: str, rows: Iterator[dict[str, Any]]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, default=str).encode("utf-8", "replace").decode() + "\n")


def _write_parquet(path: str, rows: Iterator[dict[str, Any]]) -> None:
    """Write rows with the columns and types of the first chunk; what does not fit these is named, never dropped."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    shown = path.removesuffix(".partial")
    first = list(islice(rows, CHUNK))
    if not first:
        return
    columns = list(dict.fromkeys(name for row in first for name in row))
    rest = chain(first, rows)
    try:
        # From the rows by name: Arrow alone would take the columns of the first row.
        schema = pa.Table.from_pylist([{name: row.get(name) for name in columns} for row in first]).schema
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            while chunk := list(islice(rest, CHUNK)):
                if more := sorted({name for row in chunk for name in row} - set(columns)):
                    raise InputError(f"{shown}: column '{more[0]}' first comes after {CHUNK} rows; .jsonl can hold it")
                writer.write_table(pa.Table.from_pylist(chunk, schema=schema))
    except pa.ArrowException as error:
        raise InputError(f"{shown}: rows differ in their types, which .jsonl can hold: {error}") from error
