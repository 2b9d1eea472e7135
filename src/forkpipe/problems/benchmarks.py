"""Benchmarks as problems: their files are read, checked and turned into problems, the same on every machine.

A file that differs from what `parameters/benchmarks.toml` or the user's entry expects is refused: another byte, another
number of rows, other content. So two figures of the same benchmark are about the same questions.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from forkpipe.core.errors import InputError, one_line
from forkpipe.core.ids import content_hash
from forkpipe.core.progress import logger
from forkpipe.core.prompts import prompt_for as render
from forkpipe.core.read_rows import read_rows
from forkpipe.core.records import Problem
from forkpipe.parameters.benchmarks import BENCHMARKS, Benchmark, BenchmarkSource
from forkpipe.problems.benchmark_files import cache_folder, fetch, sha256_of

__all__ = ["BENCHMARKS", "Benchmark", "BenchmarkProblems", "content_digest", "load_benchmark", "render"]

LEARNT_FILE = "learnt.json"
"""In the cache folder: digests of benchmarks that `benchmarks.toml` does not know, from the first load of each."""


@dataclass(frozen=True, slots=True)
class Question:
    """A row of a benchmark, before its options get an order."""

    id: str
    problem: str
    answer: str
    distractors: tuple[str, ...]
    row: Mapping[str, Any]
    """All columns."""


class BenchmarkProblems(list[Problem]):
    """The problems of a benchmark, and where they come from."""

    benchmark: Benchmark
    digest: str
    """See `content_digest`."""
    origin: str
    """The path of the file."""
    learnt: bool
    """Whether nobody knew the digest before the benchmark was first loaded on this machine."""

    def __init__(
        self, problems: Iterable[Problem], benchmark: Benchmark, digest: str, origin: str, learnt: bool
    ) -> None:
        super().__init__(problems)
        self.benchmark, self.digest, self.origin, self.learnt = benchmark, digest, origin, learnt


def load_benchmark(
    name: str,
    *,
    files: Mapping[str, str | Path] | None = None,
    benchmarks: Mapping[str, Benchmark] = BENCHMARKS,
    cache: Path | None = None,
    tests: str | Path | None = None,
) -> BenchmarkProblems:
    """Return the problems of a benchmark, with split "test" and the benchmark's name as their source.

    The metadata of each has `benchmark`, the subset columns, and for multiple choice `choices`, the options in the
    order that they are asked in. The problem's text holds those options, and its answer is the letter of the right one.

    Args:
        name: a key of `benchmarks`.
        files: benchmark -> file to read instead of fetching one; its content must be that of a known source.
        benchmarks: the benchmarks that there are.
        cache: folder for fetched files and learnt digests, `cache_folder()` unless given.
        tests: folder for test cases of programs that are too large for a table.

    Raises:
        InputError: the benchmark is unknown, its file cannot be had, or it is not the file that is expected.
    """
    if name not in benchmarks:
        raise InputError(f"benchmark '{name}' is unknown, expected one of: {', '.join(benchmarks)}")
    benchmark, folder = benchmarks[name], cache or cache_folder()
    given = (files or {}).get(name)
    if given is None:
        path = fetch(benchmark, benchmark.source, folder)
        questions = list(_questions(benchmark, benchmark.source, path, tests))
        _check_rows(benchmark, path, len(questions))
        digest = content_digest(questions)
        known = benchmark.source.digest
    else:
        path = Path(given).expanduser()
        questions, digest, known = _read_given(benchmark, path, tests)
    if known is not None and digest != known:
        raise InputError(f"benchmark {name}: the content of {path} has digest {digest}, expected {known}")
    if known is None:
        _learn(benchmark, digest, path, folder)
    problems = [_problem(benchmark, question) for question in questions]
    return BenchmarkProblems(problems, benchmark, digest, str(path), learnt=known is None)


def content_digest(questions: Iterable[Question]) -> str:
    """Return a SHA-256 over id, problem, answer and wrong options of all questions; their order does not count."""
    lines = sorted(
        json.dumps([question.id, question.problem, question.answer, *question.distractors], ensure_ascii=True)
        for question in questions
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def question_of(problem: str, metadata: str) -> str:
    """Return the text of a benchmark's problem without the options that stand in it."""
    choices = json.loads(metadata).get("choices")
    return problem.removesuffix(_options(choices)) if choices else problem


def _options(choices: list[str]) -> str:
    return "\n\n" + "\n".join(f"{letter}) {text}" for letter, text in zip(ascii_uppercase, choices, strict=False))


def choice_order(question_id: str, seed: int, options: int) -> list[int]:
    """Return in which order the options are asked; it depends on nothing but id, seed and their number.

    Every order is as likely as any other, so letters of right options are uniform.

    >>> sorted(choice_order("recX", 0, 4))
    [0, 1, 2, 3]
    """
    return sorted(range(options), key=lambda option: content_hash("choice", question_id, seed, option))


def _read_given(benchmark: Benchmark, path: Path, tests: str | Path | None) -> tuple[list[Question], str, str | None]:
    """Return (questions, digest, expected digest) of the user's file, read as the source whose content it has."""
    where = f"benchmark {benchmark.name}: {path}"
    if not path.is_file():
        raise InputError(f"{where}: no such file")
    sha256, digests = "", []
    misfits: list[tuple[int, InputError]] = []
    readings: list[tuple[list[Question], str]] = []
    for source in benchmark.sources:
        questions: list[Question] = []
        try:
            questions.extend(_questions(benchmark, source, path, tests))
        except InputError as error:
            misfits.append((len(questions), error))
            continue
        _check_rows(benchmark, path, len(questions))
        digest = content_digest(questions)
        if source.digest:
            if digest == source.digest:
                return questions, digest, source.digest
            digests.append((digest, source.digest))
        elif source.sha256:
            sha256 = sha256 or sha256_of(path)
            if sha256 == source.sha256:
                return questions, digest, None
        else:
            readings.append((questions, digest))
    if readings and not digests:
        return *readings[0], None
    if digests:
        expected = " or ".join(dict.fromkeys(pair[1] for pair in digests))
        raise InputError(f"{where}: the content has digest {digests[0][0]}, expected {expected}")
    if sha256:
        expected = " or ".join(source.sha256 for source in benchmark.sources if source.sha256)
        raise InputError(f"{where} has SHA-256 {sha256}, expected {expected}")
    if misfits:  # of the source by which most rows could be read
        raise max(misfits, key=lambda misfit: misfit[0])[1]
    raise InputError(f"{where}: cannot be read as any source of the benchmark")


def _check_rows(benchmark: Benchmark, path: Path, rows: int) -> None:
    if rows != benchmark.rows:
        raise InputError(f"benchmark {benchmark.name}: {path} has {rows} rows, expected {benchmark.rows}")


def _questions(
    benchmark: Benchmark, source: BenchmarkSource, path: Path, tests: str | Path | None
) -> Iterator[Question]:
    seen: dict[str, int] = {}
    inside = _window(benchmark)
    for number, row in read_rows(str(path)):
        where = f"benchmark {benchmark.name}: {path} row {number}"
        if not inside(row, where):
            continue
        programs = source.reader == "programs"
        question = _program(row, where, tests, source.public_only) if programs else _question(row, where, source)
        if question.id in seen:
            raise InputError(f"{where}: id '{question.id}' stands in row {seen[question.id]} already, expected it once")
        seen[question.id] = number
        for column in benchmark.subsets:
            if column not in question.row:
                raise InputError(f"{where}: column '{column}' of benchmark.subsets is missing")
        yield question


def _question(row: Mapping[str, Any], where: str, source: BenchmarkSource) -> Question:
    fields = source.fields
    problem, answer = _cell(row, fields.problem, where), _cell(row, fields.answer, where)
    identifier = content_hash("question", problem) if fields.id is None else _cell(row, fields.id, where)
    return Question(identifier, problem, answer, tuple(_cell(row, name, where) for name in fields.distractors), row)


def _window(benchmark: Benchmark) -> Callable[[Mapping[str, Any], str], bool]:
    """Return a function that says whether a row belongs to the benchmark, by its contest date if it has a window."""
    if benchmark.window is None:
        return lambda row, where: True
    from forkpipe.verification.code.livecodebench import date_of, window_of

    window = window_of(benchmark.window)
    if window.problems != benchmark.rows:
        raise InputError(
            f"benchmark {benchmark.name}: rows is {benchmark.rows}, window {benchmark.window} has {window.problems}"
        )
    return lambda row, where: window.first <= date_of(row, where) <= window.last


def _program(row: Mapping[str, Any], where: str, tests: str | Path | None, public_only: bool) -> Question:
    from forkpipe.verification.code.readers import gold_text, read_program
    from forkpipe.verification.code.store import CaseStore

    program = read_program(row, where, public_only=public_only)
    answer = gold_text(program.tests, CaseStore(tests))
    return Question(
        program.source_id or content_hash("question", program.problem), program.problem, answer, (), program.metadata
    )


def _cell(row: Mapping[str, Any], column: str, where: str) -> str:
    """Return a cell as text; whole numbers are written without a point, as a table of floats may hold integers."""
    value = row.get(column)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        kind = "missing" if column not in row else "empty" if isinstance(value, str) else type(value).__name__
        raise InputError(f"{where}: field '{column}' is {kind}, expected text or a whole number")
    return value.strip()


def _problem(benchmark: Benchmark, question: Question) -> Problem:
    metadata: dict[str, Any] = {"benchmark": benchmark.name}
    metadata |= {column: question.row[column] for column in benchmark.subsets}
    text, answer = question.problem, question.answer
    if question.distractors:
        options = (question.answer, *question.distractors)
        order = choice_order(question.id, benchmark.choice_seed, len(options))
        choices = [options[option] for option in order]
        text += _options(choices)
        answer = ascii_uppercase[order.index(0)]
        metadata["choices"] = choices
    if starter := question.row.get("starter_code"):
        metadata["starter_code"] = starter
    return Problem.create(
        text,
        answer,
        answer_type=benchmark.answer_type,
        source=benchmark.name,
        source_id=question.id,
        split="test",
        metadata=metadata,
    )


def _learn(benchmark: Benchmark, digest: str, path: Path, folder: Path) -> None:
    """Keep the digest of a benchmark that nobody knows; InputError if an earlier load gave another one."""
    file = folder / LEARNT_FILE
    try:
        learnt = json.loads(file.read_text()) if file.exists() else {}
    except ValueError as error:
        raise InputError(f"{file}: not JSON: {one_line(error)}; delete it to learn the digests anew") from error
    # Without the commit: another commit of the same file must have the same content.
    source = benchmark.source
    place = f"{source.hub}/{source.file}" if source.hub else source.url or str(path.absolute())
    key = f"{benchmark.name} version {benchmark.version} of {place}"
    entry = learnt.setdefault(key, {"digest": digest, "origin": source.place or str(path)})
    if entry["digest"] != digest:
        raise InputError(
            f"benchmark {benchmark.name}: the content of {path} has digest {digest}, expected {entry['digest']}, "
            f"which was learnt from {entry['origin']} ({file}); raise the benchmark's version if this is meant"
        )
    logger.warning(
        "benchmark %s: nobody knew the digest of its content; %s is learnt from %s", benchmark.name, digest, path
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{file.name}.{os.getpid()}")
        partial.write_text(json.dumps(learnt, indent=1, sort_keys=True) + "\n")
        partial.replace(file)
    except OSError as error:
        logger.warning("%s: the digest cannot be kept, so a later load is not compared with it: %s", file, error)
