"""Evaluation sets: files of problems that no problem of the run may overlap."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.file_digests import file_digest
from forkpipe.core.read_rows import file_exists, read_rows, text_of
from forkpipe.core.rows import BenchmarkProblemRow
from forkpipe.problems.benchmarks import question_of

WITHIN = "problems"
"""The name that the tables use for the run's own problems; no evaluation set may have it."""


@dataclass(frozen=True, slots=True)
class EvaluationProblem:
    """A problem of an evaluation set; `id` comes from the file, or is the number of the row."""

    set: str
    id: str
    problem: str


def with_benchmarks(
    sets: list[EvaluationProblem], benchmarks: Iterable[BenchmarkProblemRow]
) -> list[EvaluationProblem]:
    """Return evaluation problems with those of the benchmarks that the run's models are measured by.

    Options of multiple choice are left out: a problem that is the question alone overlaps too.

    Raises:
        InputError: an evaluation set has the name of a benchmark.
    """
    named = {problem.set for problem in sets}
    added = []
    for row in benchmarks:
        if row["benchmark"] in named:
            raise InputError(
                f"evaluation set {row['benchmark']} of the catalog is in benchmarks.use too, expected it there alone"
            )
        question = question_of(row["problem"], row["metadata"])
        added.append(EvaluationProblem(row["benchmark"], row["source_id"], question))
    return [*sets, *added]


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """A file of problems: its path, the column of the problems, the column of ids (row numbers where None)."""

    name: str
    filepath: str
    problem: str = "problem"
    id: str | None = None

    @classmethod
    def from_config(cls, name: str, given: Any) -> "EvaluationSet":
        """Make the set `name` from what the catalog gives: a mapping with filepath, problem and id."""
        if name == WITHIN:
            raise ValueError(
                f"an evaluation set is called '{WITHIN}', expected another name: it stands for the run's own"
            )
        try:
            return cls(name, **given)
        except TypeError:
            raise ValueError(f"evaluation set {name} is {given!r}, expected filepath, problem and id") from None

    def content(self) -> dict[str, Any]:
        """Return what determines the problems: a digest of the file (None if it is missing), and the columns."""
        digest = file_digest(self.filepath) if file_exists(self.filepath) else None
        return {"filepath": digest, "problem": self.problem, "id": self.id}

    def read(self) -> list[EvaluationProblem]:
        """Return the problems in order; InputError names the file, row and field that is wrong."""
        problems = []
        for number, row in read_rows(self.filepath):
            where, expected = f"{self.filepath} row {number}", f"expected it in set {self.name}"
            problem = text_of(row, self.problem, where, expected=expected)
            if self.id is not None and self.id not in row:
                raise InputError(f"{where}: field '{self.id}' is missing, {expected}")
            problems.append(EvaluationProblem(self.name, str(number if self.id is None else row[self.id]), problem))
        if not problems:
            raise InputError(f"{self.filepath}: has no rows, expected the problems of evaluation set {self.name}")
        return problems
