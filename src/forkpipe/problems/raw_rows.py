"""Turns raw rows into problems: maps fields, checks types, rejects duplicates and unreadable answers."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.ids import unit_interval
from forkpipe.core.progress import logger
from forkpipe.core.read_rows import text_of
from forkpipe.core.records import SPLITS, Problem
from forkpipe.core.rows import ProblemRow, RejectedRow, Split
from forkpipe.parameters import ProblemSettings, VerificationSettings
from forkpipe.verification.row_verifier import RowVerifier


def normalise_problems(
    raw: Any, settings: ProblemSettings, verification: VerificationSettings
) -> tuple[list[ProblemRow], list[RejectedRow]]:
    """Return (rows of `problems`, rows of `rejected`).

    Of rows with the same problem and answer, the first is kept. Rows with the same problem and different answers are
    all rejected, since nobody knows which answer is right. A problem whose answer the verifier cannot read is rejected
    too, since every response to it would be unparsed. Faults of the file stop the run (InputError): a missing column, a
    value that is not text, a repeated source id, or no rows.

    Args:
        raw: rows as the catalog entry `raw_problems` loads them: records, a pandas or a Hugging Face table.
    """
    source = str(getattr(raw, "source", "raw_problems"))
    problems = [_problem(row, number, source, settings) for number, row in enumerate(_records(raw), start=1)]
    if not problems:
        raise InputError(f"{source} has no rows, expected at least one problem")
    _check_source_ids(problems, source)
    kept, rejected = _without_duplicates(problems)
    kept, unreadable = _with_readable_answers(kept, verification)
    rejected += unreadable
    splits = Counter(row["split"] for row in kept)
    logger.info(
        "%d problems from %s: %s; %d rejected",
        len(kept),
        source,
        ", ".join(f"{splits[s]} {s}" for s in SPLITS),
        len(rejected),
    )
    return kept, rejected


def _records(raw: Any) -> Iterable[Mapping[str, Any]]:
    if hasattr(raw, "to_pylist"):  # pyarrow
        return list(raw.to_pylist())
    if hasattr(raw, "to_dict") and hasattr(raw, "columns"):  # pandas
        return list(raw.to_dict(orient="records"))
    if isinstance(raw, Mapping):  # a DatasetDict
        return [row for part in raw.values() for row in part]
    return list(raw)


def _problem(row: Mapping[str, Any], number: int, source: str, settings: ProblemSettings) -> Problem:
    fields = settings.fields
    problem, answer = (_text(row, field, number, source) for field in (fields.problem, fields.answer))
    source_id = str(number) if fields.source_id is None else _text(row, fields.source_id, number, source)
    used = {fields.problem, fields.answer, fields.source_id}
    unsplit = Problem.create(
        problem,
        answer,
        answer_type=_answer_type(answer, settings),
        source=settings.source,
        source_id=source_id,
        metadata={key: value for key, value in row.items() if key not in used},
    )
    return replace(unsplit, split=split_of(unsplit.problem_id, settings))


def _text(row: Mapping[str, Any], field: str, number: int, source: str) -> str:
    value = row.get(field)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # ids and answers are often integers; floats are refused, since they may have lost digits
    return text_of(row, field, f"{source} row {number}", expected="expected it as in problems.fields").strip()


def _answer_type(answer: str, settings: ProblemSettings) -> str:
    if settings.answer_type != "auto":
        return settings.answer_type
    return "integer" if re.fullmatch(r"[+-]?\d+", answer) else "math"


def split_of(problem_id: str, settings: ProblemSettings) -> Split:
    """Return the split of a problem, which depends only on its id: adding problems moves no other problem."""
    place = unit_interval("split", settings.split_salt, problem_id)
    bound = 0.0
    drawn: Split = SPLITS[0]
    for split in SPLITS:
        share = settings.shares.get(split, 0.0)
        if share > 0:
            drawn = split
        bound += share
        if place < bound:
            return drawn
    return drawn  # the shares sum to slightly less than 1 by rounding


def _check_source_ids(problems: list[Problem], source: str) -> None:
    first: dict[str, int] = {}
    for number, problem in enumerate(problems, start=1):
        if problem.source_id in first:
            raise InputError(
                f"{source} row {number}: source id '{problem.source_id}' stands in row {first[problem.source_id]} "
                "already, expected it once"
            )
        first[problem.source_id] = number


def _without_duplicates(problems: list[Problem]) -> tuple[list[ProblemRow], list[RejectedRow]]:
    by_text: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        by_text[problem.problem].append(problem)
    kept: list[ProblemRow] = []
    rejected: list[RejectedRow] = []
    for problem in problems:
        group = by_text[problem.problem]
        answers = sorted({other.answer for other in group})
        if len(answers) > 1:
            rejected.append(_rejected(problem, "conflicting answers", f"answers {answers}"))
        elif problem is not group[0]:
            rejected.append(_rejected(problem, "duplicate", f"same as source id {group[0].source_id}"))
        else:
            kept.append(problem.to_row())
    return kept, rejected


def _with_readable_answers(
    problems: list[ProblemRow], settings: VerificationSettings
) -> tuple[list[ProblemRow], list[RejectedRow]]:
    """Return (problems whose answer the verifier reads, rows of `rejected` for the others)."""
    with RowVerifier(settings) as verifier:
        readable = verifier.check_gold([Problem.from_row(row) for row in problems])
    kept = [row for row, known in zip(problems, readable, strict=True) if known]
    return kept, [
        _rejected(Problem.from_row(row), "unreadable answer", f"{row['answer_type']} answer {row['answer'][:200]!r}")
        for row, known in zip(problems, readable, strict=True)
        if not known
    ]


def _rejected(problem: Problem, reason: str, detail: str) -> RejectedRow:
    return {
        "stage": "problems",
        "id": problem.problem_id,
        "reason": reason,
        "detail": f"source id {problem.source_id}: {detail}",
    }
