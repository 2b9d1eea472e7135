"""Turns raw rows into problems: maps fields, checks types, rejects duplicates and unreadable answers."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.limits import first_ids, first_of_groups
from forkpipe.core.progress import logger
from forkpipe.core.records import SPLITS, Problem
from forkpipe.core.rows import ProblemRow, RejectedRow, Split
from forkpipe.parameters import ProblemSettings, VerificationSettings
from forkpipe.problems.agreeing import Answers, final_answers
from forkpipe.problems.source_rows import Source, drawn_split
from forkpipe.verification.row_verifier import RowVerifier


def normalise_problems(
    raw: Any, settings: ProblemSettings, verification: VerificationSettings
) -> tuple[list[ProblemRow], list[RejectedRow]]:
    """Return (rows of `problems`, rows of `rejected`).

    Of rows with the same problem and final answer, the first is kept (`agreeing.final_answers`). Rows of a source with
    the same problem and different final answers are all rejected, since nobody knows which one is right; of a problem
    that several sources have, the first source keeps it. A problem whose answer the verifier cannot read is rejected
    too, since every response to it would be unparsed. Faults of a file stop the run (InputError): a missing column, a
    value that is not text, a repeated source id, or no rows.

    Args:
        raw: rows as the catalog entry `raw_problems` loads them: records, a pandas or a Hugging Face table. With
            `problems.sources`: such rows by the name of the source.
    """
    problems: list[Problem] = []
    rejected: list[RejectedRow] = []
    for source, rows in _sources(raw, settings):
        for problem in source.problems(_records(rows)):
            if isinstance(problem, tuple):
                rejected.append(_rejected(problem[0], "no answer", problem[1]))
            else:
                problems.append(problem)
    kept, doubled = _without_duplicates(
        problems, final_answers(problems, verification), by_source=len(settings.sources) > 1
    )
    kept, unreadable = _with_readable_answers(kept, verification)
    kept, over = _limited(kept, settings)
    rejected += doubled + unreadable + over
    _log(kept, rejected, ", ".join(settings.sources) or str(getattr(raw, "source", "raw_problems")))
    return kept, rejected


def _sources(raw: Any, settings: ProblemSettings) -> Iterator[tuple[Source, Any]]:
    """Yield each source with its rows."""
    if not settings.sources:
        where = str(getattr(raw, "source", "raw_problems"))
        yield (
            Source(
                str(settings.source),
                where,
                fields=settings.fields,
                answer_type=settings.answer_type,
                shares=settings.shares,
                salt=settings.split_salt,
                parameter="problems.fields",
            ),
            raw,
        )
        return
    for name, given in settings.sources.items():
        if not isinstance(raw, Mapping) or name not in raw:
            raise InputError(f"raw_problems holds no source '{name}', expected the rows of problems.sources by name")
        rows = raw[name]
        source = Source(
            name,
            str(getattr(rows, "source", given.file or given.dataset)),
            fields=given.fields,
            answer_type=given.answer_type,
            shares=given.shares,
            salt=settings.split_salt,
            parameter=f"problems.sources.{name}.fields",
            filters=given.where,
            keep=given.keep,
        )
        yield source, rows


def _records(raw: Any) -> Iterable[Mapping[str, Any]]:
    if hasattr(raw, "to_pylist"):  # pyarrow
        return list(raw.to_pylist())
    if hasattr(raw, "to_dict") and hasattr(raw, "columns"):  # pandas
        return list(raw.to_dict(orient="records"))
    if isinstance(raw, Mapping):  # a DatasetDict
        return (row for part in raw.values() for row in part)
    return iter(raw)


def split_of(problem_id: str, settings: ProblemSettings) -> Split:
    """Return the split of a problem of the only source, see `source_rows.drawn_split`."""
    return drawn_split(problem_id, settings.shares, settings.split_salt)


def _without_duplicates(
    problems: list[Problem], same: Answers, *, by_source: bool
) -> tuple[list[ProblemRow], list[RejectedRow]]:
    """Return (rows that are kept, rows of `rejected`); the details name sources with `by_source`."""

    def final(problem: Problem) -> str:
        return same.get((problem.problem, problem.answer), problem.answer)

    by_text: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        by_text[problem.problem].append(problem)
    kept: list[ProblemRow] = []
    rejected: list[RejectedRow] = []
    for problem in problems:
        group = by_text[problem.problem]
        if len(group) == 1:
            kept.append(problem.to_row())
            continue
        answers = sorted({final(other) for other in group if other.source == problem.source})
        first = _first_certain(group, final)
        if len(answers) > 1:
            rejected.append(_rejected(problem, "conflicting answers", f"answers {answers}"))
        elif problem is first:
            kept.append(problem.to_row())
        else:
            of = f" of {first.source}" if by_source else ""
            other = "" if first.answer == problem.answer else f", whose answer is {first.answer[:200]!r}"
            rejected.append(_rejected(problem, "duplicate", f"same as source id {first.source_id}{of}{other}"))
    return kept, rejected


def _first_certain(group: list[Problem], final: Callable[[Problem], str]) -> Problem:
    """Return the first problem of a group whose source has one answer to it; the first if there is none."""
    answers = {(problem.source, final(problem)) for problem in group}
    sources = Counter(source for source, _ in answers)
    return next((problem for problem in group if sources[problem.source] == 1), group[0])


def _limited(problems: list[ProblemRow], settings: ProblemSettings) -> tuple[list[ProblemRow], list[RejectedRow]]:
    """Return (rows within the limits of their sources and of the run, rows of `rejected` for the others)."""
    salt, kept = settings.split_salt, problems
    over: dict[str, str] = {}
    limited = [(f"source {name}", given.limit, name) for name, given in settings.sources.items()]
    for which, limit, source in (*limited, ("the run", settings.limit, None)):
        concerned = [row for row in kept if source in (None, row["source"])]
        if limit is None or len(concerned) <= limit:
            continue
        within = (
            first_of_groups(((row["split"], row["problem_id"]) for row in concerned), limit, salt)
            if source is None
            else first_ids((row["problem_id"] for row in concerned), limit, salt)
        )
        over |= {
            row["problem_id"]: f"{which} is limited to {limit} problems"
            for row in concerned
            if row["problem_id"] not in within
        }
        kept = [row for row in kept if row["problem_id"] not in over]
    return kept, [
        _rejected(Problem.from_row(row), "over the limit", over[row["problem_id"]])
        for row in problems
        if row["problem_id"] in over
    ]


def _log(kept: list[ProblemRow], rejected: list[RejectedRow], where: str) -> None:
    splits = Counter(row["split"] for row in kept)
    counted = ", ".join(f"{splits[split]} {split}" for split in SPLITS)
    logger.info("%d problems from %s: %s; %d rejected", len(kept), where, counted, len(rejected))


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
