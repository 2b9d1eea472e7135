"""Verdicts for the rows of a user's file, written beside them: what `forkpipe verify` does."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from forkpipe.core.errors import InputError
from forkpipe.core.ids import content_hash
from forkpipe.core.json_values import json_value
from forkpipe.core.read_rows import read_rows
from forkpipe.core.records import VERDICTS, Verdict
from forkpipe.core.subsets import (
    NO_VOTES,
    WITHOUT_VOTES,
    JudgedSample,
    accuracy_by_subset,
    caveats_in,
    format_accuracies,
)
from forkpipe.verification.base import Verifier
from forkpipe.verification.dispatch import ResponseRow, verify_by_type
from forkpipe.verification.limits import Unscored

CHUNK = 2048
"""Rows held at a time: they can be long traces."""

COLUMNS = ("verdict", "extracted", "extracted_from", "rule", "verifier_version")
OUTPUTS = (".jsonl", ".parquet")
ROWS_NAMED = 10


class Summary:
    """Counts what came of a file: verdicts, gold answers that cannot be read, and how far labels agree."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.unreadable_gold: list[int] = []
        self.labelled = 0
        self.false_positives: list[int] = []
        self.false_negatives: list[int] = []
        self.judged: list[JudgedSample] = []
        self.problems: int | None = None
        """How many there are, where another file holds them."""

    def add(self, number: int, verdict: Verdict, label: bool | None, sample: JudgedSample | None = None) -> None:
        """Count a row; a row whose gold answer cannot be read says nothing about the label.

        Args:
            number: of the row.
            verdict: on it.
            label: what the file says of it.
            sample: the row for figures by subset, None without them.
        """
        self.counts[verdict.verdict] += 1
        if sample is not None and verdict.rule != "gold-unparsed" and verdict.verdict != "failed":
            self.judged.append(sample)
        if verdict.rule == "gold-unparsed":
            self.unreadable_gold.append(number)
        elif label is not None:
            correct = verdict.verdict == "correct"
            self.labelled += 1
            if correct != label:
                (self.false_positives if correct else self.false_negatives).append(number)

    def __str__(self) -> str:
        total = sum(self.counts.values())
        lines = [f"{'verdict':<10}{'rows':>10}{'share':>9}"]
        lines += [f"{name:<10}{n:>10}{n / total:>9.1%}" for name in VERDICTS if (n := self.counts[name])]
        lines.append(f"{'all':<10}{total:>10}")
        if self.unreadable_gold:
            lines.append(f"gold answers that cannot be read, not scored: {_named(self.unreadable_gold)}")
        if self.labelled:
            agreed = self.labelled - len(self.false_positives) - len(self.false_negatives)
            lines.append(f"agreement with the labels: {agreed} of {self.labelled} ({agreed / self.labelled:.1%})")
            lines.append(f"false positives (correct, labelled wrong): {_named(self.false_positives)}")
            lines.append(f"false negatives (not correct, labelled correct): {_named(self.false_negatives)}")
        if self.judged:
            table = format_accuracies(accuracy_by_subset(self.judged))
            lines += ["", table, f"cons@k: {NO_VOTES}"]
            if failed := self.counts["failed"]:
                lines.append(f"{failed} rows failed and are in none of these figures")
            answered = len({sample.problem for sample in self.judged})
            if self.problems is not None and answered < self.problems:
                lines.append(f"only {answered} of {self.problems} problems have a response")
        return "\n".join(lines)


def _named(rows: list[int]) -> str:
    more = ", ..." if len(rows) > ROWS_NAMED else ""
    return f"{len(rows)} (rows {', '.join(map(str, rows[:ROWS_NAMED]))}{more})" if rows else "0"


class Columns(NamedTuple):
    """Which columns of a file hold what.

    Attributes:
        gold: gold answers: text or numbers.
        response: responses: text; null is `failed`.
        finish_reason: "length" where a response was cut; None: no such column.
        label: whether a response is correct: true, false, 1 or 0; null has no label. None: no such column.
        bare: whether the responses are answers and nothing else.
        by: columns by whose values the accuracy is given too.
    """

    gold: str
    response: str
    finish_reason: str | None = None
    label: str | None = None
    bare: bool = False
    by: tuple[str, ...] = ()


class Problems(NamedTuple):
    """Problems that the rows of a file name, in place of gold answers of their own.

    Attributes:
        column: of the file, with ids of problems.
        by_id: id -> problem: its gold answer as `answer`, and the columns of `Columns.by`.
        where: the file of the problems, for messages.
    """

    column: str
    by_id: Mapping[str, Mapping[str, Any]]
    where: str


def verify_file(
    path: str,
    output: str,
    *,
    columns: Columns,
    verifier: Verifier,
    problems: Problems | None = None,
    max_unscored: float = 1.0,
    on_progress: Callable[[int], None] | None = None,
) -> Summary:
    """Write the rows of a file, in order, with the columns of `COLUMNS`, and `detail` if the verifier gives it.

    The output appears when all rows are verified.

    Args:
        path: JSONL, JSONL.gz, Parquet or CSV.
        output: JSONL or Parquet by its ending.
        columns: see `Columns`.
        verifier: see `base.Verifier`.
        problems: where the gold answers come from if not from the rows themselves.
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
    gives_detail = getattr(verifier, "gives_detail", False)
    if columns.bare and verifier.name == "code":
        raise InputError("bare responses are answers that a box can hold, expected no --bare with programs")
    added = (*COLUMNS, "detail") if gives_detail else COLUMNS
    summary = Summary()
    summary.problems = None if problems is None else len(problems.by_id)
    unscored = Unscored(max_unscored)

    def verified() -> Iterator[dict[str, Any]]:
        rows = read_rows(path)
        while chunk := list(islice(rows, CHUNK)):
            asked = [_asked(path, number, row, columns, added, problems) for number, row in chunk]
            for (number, row), response, (verdict, _, version) in zip(
                chunk, asked, verify_by_type({"": verifier}, asked), strict=True
            ):
                is_program = verifier.name in WITHOUT_VOTES
                sample = _sample(row, response, verdict, columns, problems) if is_program else None
                summary.add(number, verdict, _label(path, number, row, columns.label), sample)
                unscored.add([verdict], [response.response])
                source = "whole" if columns.bare and verdict.extracted_from == "box" else verdict.extracted_from
                values = [verdict.verdict, verdict.extracted, source, verdict.rule, version]
                values += [verdict.detail] if gives_detail else []
                yield {**row, **dict(zip(added, values, strict=True))}
            if on_progress is not None:
                on_progress(unscored.seen)

    temporary = f"{output}.partial"
    try:
        (_write_parquet if output.endswith(".parquet") else _write_jsonl)(temporary, verified())
        if not unscored.seen:
            raise InputError(f"{path} has no rows, expected at least one")
        unscored.check()
        os.replace(temporary, output)
    except OSError as error:
        raise InputError(f"{output}: cannot be written: {error.strerror or error}") from error
    finally:
        Path(temporary).unlink(missing_ok=True)
    return summary


def _sample(
    row: Mapping[str, Any], response: ResponseRow, verdict: Verdict, columns: Columns, problems: Problems | None
) -> JudgedSample:
    """Return a row for figures by subset; rows with the same tests are of the same problem."""
    of_problem = row if problems is None else {**row, **problems.by_id[str(row[problems.column])]}
    subsets = {name: str(of_problem[name]) for name in columns.by if of_problem.get(name) is not None}
    problem = content_hash("tests", response.gold) if problems is None else str(row[problems.column])
    return JudgedSample(problem, verdict.verdict == "correct", subsets, caveats_in(verdict.detail))


def _asked(
    path: str,
    number: int,
    row: Mapping[str, Any],
    columns: Columns,
    added: tuple[str, ...],
    problems: Problems | None,
) -> ResponseRow:
    where = f"{path} row {number}"
    gold_column = columns.gold if problems is None else problems.column
    for column in filter(None, (gold_column, columns.response, columns.finish_reason, columns.label)):
        if column not in row:
            raise InputError(f"{where}: column '{column}' is missing, the row has: {', '.join(row) or 'none'}")
    if taken := [column for column in added if column in row]:
        raise InputError(f"{where}: column '{taken[0]}' is there already and would be overwritten, rename it")
    gold, response = row[gold_column], row[columns.response]
    if problems is not None:
        if str(gold) not in problems.by_id:
            raise InputError(f"{where}: column '{gold_column}' is '{gold}', {problems.where} has no such problem")
        gold = problems.by_id[str(gold)]["answer"]
    if isinstance(gold, dict):  # tests of a program, as an object instead of its JSON text
        gold = json.dumps(gold, ensure_ascii=False)
    if isinstance(gold, bool) or not isinstance(gold, str | int | float):
        raise InputError(f"{where}: column '{columns.gold}' is {type(gold).__name__}, expected text or a number")
    if not isinstance(response, str | None):
        raise InputError(f"{where}: column '{columns.response}' is {type(response).__name__}, expected text")
    cut = columns.finish_reason is not None and row[columns.finish_reason] == "length"
    text = f"\\boxed{{{response}}}" if columns.bare and response and "\\boxed" not in response else response or ""
    status, finish = "failed" if response is None else "done", "length" if cut else "stop"
    return ResponseRow("", str(gold), text, status, finish)


_LABELS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


def _label(path: str, number: int, row: Mapping[str, Any], column: str | None) -> bool | None:
    if column is None or row[column] is None:
        return None
    label = _LABELS.get(str(row[column]).lower())
    if label is None:
        raise InputError(f"{path} row {number}: column '{column}' is {row[column]!r}, expected true, false, 1 or 0")
    return label


def _write_jsonl(path: str, rows: Iterator[dict[str, Any]]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(json_value(row), ensure_ascii=False).encode("utf-8", "replace").decode() + "\n")


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
