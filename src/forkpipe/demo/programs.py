"""The raw problems of the environment `programs`, generated on load."""

from typing import Any

from forkpipe.demo import small_programs
from forkpipe.demo.dataset import GeneratedDataset

Row = dict[str, Any]


class SmallProgramsDataset(GeneratedDataset):
    """The problems of `demo.small_programs`; an answer is tests as JSON text."""

    def __init__(self, metadata: dict[str, Any] | None = None) -> None:
        self.metadata = metadata

    def load(self) -> list[Row]:
        """Return rows with id, problem and answer, all text."""
        return small_programs.problem_rows()
