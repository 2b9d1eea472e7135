"""The raw problems of the environment `programs`, generated on load."""

from typing import Any

from kedro.io import AbstractDataset, DatasetError

from forkpipe.demo import small_programs

Row = dict[str, Any]


class SmallProgramsDataset(AbstractDataset[list[Row], list[Row]]):
    """The problems of `demo.small_programs` as raw rows."""

    def __init__(self, metadata: dict[str, Any] | None = None) -> None:
        self.metadata = metadata

    def load(self) -> list[Row]:
        """Return rows with id, problem and answer (tests as JSON text), all text."""
        return small_programs.problem_rows()

    def generated_from(self) -> list[Row]:
        """Return what its content is a function of: the rows themselves, there are few."""
        return self.load()

    def save(self, data: list[Row]) -> None:
        """Refuse: these problems are generated."""
        raise DatasetError("problems of SmallProgramsDataset are generated, they cannot be saved")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {}
