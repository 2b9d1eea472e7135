"""The catalog entry for evaluation sets: several files of problems that no problem of the run may overlap."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview

from forkpipe.core.errors import InputError
from forkpipe.core.read_rows import file_digest, file_exists, read_rows
from forkpipe.datasets.records import RecordsError, origin_hint

PREVIEW = 200
WITHIN = "problems"
"""Name that tables give to the run's own problems, so that no set can have it."""


@dataclass(frozen=True, slots=True)
class EvaluationProblem:
    """A problem of an evaluation set; `id` is the set's own, or the row's number."""

    set: str
    id: str
    problem: str


@dataclass(frozen=True, slots=True)
class _File:
    filepath: str
    problem: str = "problem"
    id: str | None = None


class EvaluationSetsDataset(AbstractDataset[list[EvaluationProblem], list[EvaluationProblem]]):
    """Problems of several evaluation sets, read from JSONL, gzipped JSONL, Parquet or CSV; read-only.

    ```yaml
    evaluation_sets:
      type: forkpipe.datasets.evaluation_sets.EvaluationSetsDataset
      sets:
        math500: {filepath: data/01_raw/math500.jsonl}
        gsm8k: {filepath: data/01_raw/gsm8k_test.jsonl, problem: question, id: id}
    ```

    Args:
        sets: name of a set to its file: `filepath`, the column `problem` ("problem" unless given) and the column `id`
            (row numbers unless given). None at all is allowed.
        metadata: ignored by Kedro, used by plugins; its `origin` says where the files come from, if one is missing.
    """

    def __init__(self, *, sets: Mapping[str, Any] | None = None, metadata: dict[str, Any] | None = None) -> None:
        self._sets = {name: _file(name, given) for name, given in (sets or {}).items()}
        self.metadata = metadata

    def load(self) -> list[EvaluationProblem]:
        """Return the problems of all sets, in order.

        Raises:
            RecordsError: a file is missing, empty or unreadable, or a row has no such column or no text in it.
        """
        problems = []
        for name, file in self._sets.items():
            try:
                problems += _read(name, file)
            except InputError as error:
                raise RecordsError(f"{error}{origin_hint(file.filepath, self.metadata)}") from error
        return problems

    def generated_from(self) -> dict[str, Any]:
        """Return what its content is a function of: the files' bytes and the columns that are read."""
        return {name: {**asdict(file), "filepath": _digest(file.filepath)} for name, file in self._sets.items()}

    def save(self, data: list[EvaluationProblem]) -> None:
        """Refuse: the files are the user's."""
        raise DatasetError("evaluation sets are read-only, EvaluationSetsDataset saves nothing")

    def preview(self, nrows: int = 5) -> TablePreview:
        """Return the first rows, for kedro viz."""
        rows = [[row.set, row.id, row.problem[:PREVIEW]] for row in self.load()[:nrows]]
        return TablePreview({"index": list(range(len(rows))), "columns": ["set", "id", "problem"], "data": rows})

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"sets": {name: file.filepath for name, file in self._sets.items()}}


def _file(name: str, given: Any) -> _File:
    if name == WITHIN:
        raise ValueError(f"an evaluation set is called '{WITHIN}', expected another name: it stands for the run's own")
    try:
        return _File(**given)
    except TypeError:
        raise ValueError(f"evaluation set {name} is {given!r}, expected filepath, problem and id") from None


def _read(name: str, file: _File) -> list[EvaluationProblem]:
    read = []
    for number, row in read_rows(file.filepath):
        for column in filter(None, (file.problem, file.id)):
            if column not in row:
                raise InputError(
                    f"{file.filepath} row {number}: field '{column}' is missing, expected it in set {name}"
                )
        problem = row[file.problem]
        if not isinstance(problem, str) or not problem.strip():
            kind = "empty" if isinstance(problem, str) else type(problem).__name__
            raise InputError(f"{file.filepath} row {number}: field '{file.problem}' is {kind}, expected text")
        read.append(EvaluationProblem(name, str(number if file.id is None else row[file.id]), problem))
    if not read:
        raise InputError(f"{file.filepath}: has no rows, expected the problems of evaluation set {name}")
    return read


def _digest(path: str) -> str | None:
    """Return a hash of a file's bytes, None where it is missing: loading says so in a line of its own."""
    return file_digest(path) if file_exists(path) else None
