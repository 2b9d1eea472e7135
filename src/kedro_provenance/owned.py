"""Which outputs a run may replace: those that this project made, as it made them.

A catalog entry may name files that the user has put there: a model from elsewhere, a table that was edited by hand. No
node replaces them. A file or folder belongs to the project if the record beside it names this output at this place and
holds a digest of these bytes, or if a run of the project was killed while it made it. What `kedro accept` has accepted
without such a record stays the user's.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from kedro.pipeline.node import Node

from kedro_provenance.content import Contents, location
from kedro_provenance.records import is_claimed, read_record, remove_record, write_claim


class ForeignOutputError(click.ClickException):
    """A node would replace files that this project did not make; the message says what to do."""


class Owned:
    """Knows the files of this project from those of others.

    Args:
        catalog: the datasets of the run.
        contents: digests of files.
        project: root folder of the project; None where places are absolute.
    """

    def __init__(self, catalog: Any, contents: Contents, project: Path | None = None) -> None:
        self._catalog = catalog
        self._contents = contents
        self._project = project

    def place(self, path: str) -> str:
        """Return a path relative to the project, so that a project may be moved; others stay as they are."""
        inside = self._project is not None and Path(path).is_relative_to(self._project)
        return Path(path).relative_to(self._project).as_posix() if self._project and inside else path

    def foreign(self, node: Node) -> dict[str, str]:
        """Return the outputs of a node that it may not replace, and why not."""
        reasons = {output: self._why_foreign(output) for output in node.outputs}
        return {output: why for output, why in reasons.items() if why}

    def check(self, nodes: Iterable[Node]) -> None:
        """Raise ForeignOutputError if one of these nodes would replace files that this project did not make."""
        for node in nodes:
            for output, why in self.foreign(node).items():
                complete = all(self._catalog.exists(name) for name in node.outputs)
                keep = (
                    f"keep them with `kedro accept {node.name}`" if complete else "only read them (`kedro run --nodes`)"
                )
                raise ForeignOutputError(
                    f"{location(self._catalog[output])} {why}, and {node.name} would replace it as {output}: move the "
                    f"files away or give {output} another path in the catalog to have it made, or {keep}"
                )

    @contextmanager
    def claimed(self, node: Node) -> Iterator[None]:
        """Claim the outputs of a node while it runs, after `check`; if it fails, the claim stays on what there is."""
        self.check([node])
        claims = []
        for output in node.outputs:
            path = location(self._catalog[output])
            if path is not None and not is_claimed(path, output, self.place(path)):  # by a killed run or another one
                write_claim(path, output, self.place(path))
                claims.append(path)
        try:
            yield
        except BaseException:
            for path in claims:
                if self._contents.of_files(path) is None:
                    remove_record(path)
            raise

    def _why_foreign(self, output: str) -> str:
        path = location(self._catalog[output])
        files = None if path is None else self._contents.of_files(path)
        if path is None or files is None or is_claimed(path, output, self.place(path)):
            return ""
        record = read_record(path)
        if record is None:
            return "was not made by this project (it has no record)"
        if record.kept:
            return "was not made by this project, but accepted as it is"
        if record.output != output or record.path not in ("", self.place(path)):
            return f"is {record.output} of {record.path or 'another place'} by its record"
        today = [files] if record.files else [files, self._contents.digest(self._catalog[output])]
        return "" if (record.files or record.digest) in today else "was changed after it was made"
