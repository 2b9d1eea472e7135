"""Files of problems as arguments: NAME=PATH or NAME=PATH:COLUMN."""

import hashlib
from collections.abc import Iterable

from scipy.stats import binomtest

from forkpipe.core.read_rows import read_rows
from forkpipe.core.records import Problem
from forkpipe.datasets.evaluation_sets import EvaluationSetsDataset
from forkpipe.problems.evaluation_sets import EvaluationProblem

Row = dict[str, str]


def parsed(given: str) -> tuple[str, str, str]:
    """Return (name, path, column) of an argument."""
    name, _, rest = given.partition("=")
    path, _, column = rest.partition(":")
    return name, path, column or "problem"


def evaluation_sets(given: Iterable[str]) -> list[EvaluationProblem]:
    """Load evaluation sets as the catalog entry does; ids are row numbers."""
    sets = {name: {"filepath": path, "problem": column} for name, path, column in map(parsed, given)}
    return EvaluationSetsDataset(sets=sets).load()


def row(problem: str, answer: str, source_id: str) -> Row:
    """Return a row of `normalised_problems` of split train; its id is of this source id too, so that none are equal."""
    made = Problem.create(problem, answer, answer_type="math", source="file", source_id=source_id)
    problem_id = hashlib.sha256(f"{source_id} {made.problem_id}".encode()).hexdigest()[:16]
    return {"problem_id": problem_id, "problem": problem, "answer": answer, "source_id": source_id, "split": "train"}


def problems(given: str) -> list[Row]:
    """Load a file of problems; source ids are NAME:ROW."""
    name, path, column = parsed(given)
    return [row(one[column], str(one.get("answer", number)), f"{name}:{number}") for number, one in read_rows(path)]


def wilson(count: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a rate by Wilson's method."""
    if not of:
        return 0.0, 1.0
    interval = binomtest(count, of).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)
