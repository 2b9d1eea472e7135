"""The dataset of evaluation sets: files of problems that no problem of the run may overlap."""

from collections.abc import Mapping
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview

from forkpipe.core.errors import InputError
from forkpipe.datasets.records import RecordsError, origin_hint
from forkpipe.problems.evaluation_sets import EvaluationProblem, EvaluationSet

PREVIEW = 200


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
            (row numbers unless given). There may be no set.
        metadata: ignored by Kedro, used by plugins. If a file is missing, the error message quotes its entry `origin`.
    """

    def __init__(self, *, sets: Mapping[str, Any] | None = None, metadata: dict[str, Any] | None = None) -> None:
        self._sets = [EvaluationSet.from_config(name, given) for name, given in (sets or {}).items()]
        self.metadata = metadata

    def load(self) -> list[EvaluationProblem]:
        """Return the problems of all sets, in order; RecordsError names the file, row and column that is wrong."""
        problems = []
        for given in self._sets:
            try:
                problems += given.read()
            except InputError as error:
                raise RecordsError(f"{error}{origin_hint(given.filepath, self.metadata)}") from error
        return problems

    def generated_from(self) -> dict[str, Any]:
        """Return what determines the content: a digest of each file, and the columns that are read."""
        return {given.name: given.content() for given in self._sets}

    def save(self, data: list[EvaluationProblem]) -> None:
        """Raise an error: the files belong to the user."""
        raise DatasetError("evaluation sets are read-only, EvaluationSetsDataset saves nothing")

    def preview(self, nrows: int = 5) -> TablePreview:
        """Return the first rows, for kedro viz."""
        rows = [[row.set, row.id, row.problem[:PREVIEW]] for row in self.load()[:nrows]]
        return TablePreview({"index": list(range(len(rows))), "columns": ["set", "id", "problem"], "data": rows})

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"sets": {given.name: given.filepath for given in self._sets}}
