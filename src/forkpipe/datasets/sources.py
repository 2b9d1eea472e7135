"""Several sources of problems in the place of one: what the catalog's `raw_problems` is with `problems.sources`."""

from collections.abc import Iterator, Mapping
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from forkpipe.core.errors import InputError
from forkpipe.core.read_rows import Row, file_exists, read_rows
from forkpipe.datasets.programs import ProgramsDataset
from forkpipe.datasets.records import RecordsDataset, RecordsError
from forkpipe.parameters import ProblemSettings


class FileRows:
    """The rows of a file, read each time they are iterated over: a source may be larger than memory."""

    def __init__(self, path: str) -> None:
        self.source = path

    def __iter__(self) -> Iterator[Row]:
        for _, row in read_rows(self.source):
            yield row


class SourcesDataset(AbstractDataset[dict[str, Any], dict[str, Any]]):
    """Rows by the name of their source; read-only.

    Args:
        sources: name -> dataset that loads a table. Recipes hold the entry of each (`kedro_provenance.sources`).
    """

    def __init__(self, sources: Mapping[str, AbstractDataset[Any, Any]]) -> None:
        self.sources = dict(sources)

    @classmethod
    def of(cls, settings: ProblemSettings, catalog: Any) -> "SourcesDataset":
        """Return the sources of `problems.sources`, with the catalog's entries for those that name one.

        Raises:
            InputError: the catalog has no such entry, or an option of a reader is wrong.
        """
        members: dict[str, AbstractDataset[Any, Any]] = {}
        for name, source in settings.sources.items():
            if source.dataset is not None:
                if source.dataset not in catalog:
                    raise InputError(
                        f"parameter problems.sources.{name}.dataset is '{source.dataset}', which the catalog has not"
                    )
                members[name] = catalog[source.dataset]
            elif source.reader == "programs":
                try:
                    members[name] = ProgramsDataset(str(source.file), **source.options)
                except TypeError as error:
                    raise InputError(f"parameter problems.sources.{name}.options: {error}") from None
            else:
                members[name] = RecordsDataset(str(source.file))
        return cls(members)

    def load(self) -> dict[str, Any]:
        """Return the rows of every source; those of plain files are read when they are iterated over."""
        return {name: self._rows(name, member) for name, member in self.sources.items()}

    def _rows(self, name: str, member: AbstractDataset[Any, Any]) -> Any:
        if isinstance(member, RecordsDataset):
            path = member._describe()["filepath"]
            try:
                if not file_exists(path):
                    return member.load()  # its message says what to fetch
            except InputError as error:
                raise RecordsError(f"problems.sources.{name}: {error}") from error
            return FileRows(path)
        return member.load()

    def generated_from(self) -> list[str]:
        """Return the names; what the sources hold is in their entries."""
        return list(self.sources)

    def save(self, data: dict[str, Any]) -> None:
        """Raise an error: sources belong to the user."""
        raise DatasetError("sources of problems are read-only, SourcesDataset saves nothing")

    def _describe(self) -> dict[str, Any]:
        return {"sources": {name: type(member).__name__ for name, member in self.sources.items()}}

    def _exists(self) -> bool:
        return True
