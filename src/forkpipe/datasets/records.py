"""A dataset for the user's own file of problems or traces, whose values keep their types."""

from itertools import islice
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview

from forkpipe.core.errors import InputError
from forkpipe.core.hub import pinned
from forkpipe.core.json_values import json_value
from forkpipe.core.read_rows import file_exists, read_rows


class RawRecords(list[dict[str, Any]]):
    """The rows of a file, with the types that they have there; `source` is the path of the file, for messages."""

    source: str

    def __init__(self, rows: list[dict[str, Any]], source: str) -> None:
        super().__init__(rows)
        self.source = source


class RecordsError(InputError, DatasetError):
    """An `InputError` that Kedro does not wrap in several lines, since it is a `DatasetError` too.

    `DataCatalog.load` raises a plain `DatasetError` from it, which holds it as `__cause__`.
    """


class RecordsDataset(AbstractDataset[RawRecords, RawRecords]):
    """A JSONL, gzipped JSONL, Parquet or CSV file that is read without converting types; read-only.

    ```yaml
    raw_problems:
      type: forkpipe.datasets.records.RecordsDataset
      filepath: data/01_raw/problems.jsonl
    ```

    Args:
        filepath: path or URL that fsspec opens; its ending gives the format.
        metadata: read by Kedro-Viz and plugins. If the file is missing, the error message quotes its entry `origin`:
            what to fetch from where.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = str(filepath)
        # A pinned path says what the file holds, and recipes hold the path.
        self._filepath = None if pinned(self._path) else self._path
        self.metadata = metadata

    def load(self) -> RawRecords:
        """Return all rows; RecordsError if the file is missing, empty, of no known format, or a row cannot be read."""
        try:
            rows = [row for _, row in read_rows(self._path)]
        except InputError as error:
            raise RecordsError(f"{error}{origin_hint(self._path, self.metadata)}") from error
        if not rows:
            raise RecordsError(f"{self._path}: has no rows")
        return RawRecords(rows, self._path)

    def save(self, data: RawRecords) -> None:
        """Raise an error: the file belongs to the user."""
        raise DatasetError(f"{self._path}: is read-only, RecordsDataset saves nothing")

    def preview(self, nrows: int = 5) -> TablePreview:
        """Return the first rows as JSON-safe cells, without reading the others."""
        rows = [row for _, row in islice(read_rows(self._path), nrows)]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        data = [[json_value(row.get(name)) for name in columns] for row in rows]
        return TablePreview({"index": list(range(len(rows))), "columns": columns, "data": data})

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._path}

    def _exists(self) -> bool:
        return file_exists(self._path)


def origin_hint(path: str, metadata: dict[str, Any] | None) -> str:
    """Return what a catalog entry says about a missing file, such as what to fetch, to be appended to a message."""
    origin = (metadata or {}).get("origin")
    return f"; fetch {origin} and put it there" if origin and not file_exists(path) else ""
