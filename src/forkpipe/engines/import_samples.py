"""The samples that rows of traces hold: which problem each is for, and its text, reasoning, length and end."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, get_args

from forkpipe.core.errors import InputError
from forkpipe.core.ids import ID_LENGTH
from forkpipe.core.prompts import render
from forkpipe.core.read_rows import Row, read_rows, text_of, value_at
from forkpipe.core.rows import FinishReason
from forkpipe.engines.import_rows import unfolded


class Trace(NamedTuple):
    """What a row says about one sample; `error` is set if the sample failed."""

    text: str
    reasoning: str
    finish_reason: FinishReason
    tokens: int
    error: str

    def digest(self) -> str:
        """Return a hash of everything that the sample says, 16 hex digits."""
        hashed = hashlib.sha256()
        for part in self:
            encoded = str(part).encode()
            hashed.update(b"%d " % len(encoded) + encoded)
        return hashed.hexdigest()[:ID_LENGTH]


ProblemKey = tuple[int, int]
"""128 bits of a hash of a problem's text, in which differences in white space do not count."""


def key_of(problem: str) -> ProblemKey:
    """Return the key of a problem's text."""
    hashed = hashlib.blake2b(" ".join(problem.split()).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return int.from_bytes(hashed[:8]), int.from_bytes(hashed[8:])


class Samples:
    """Finds the samples of one teacher in rows.

    Args:
        named: names of the file's columns by field.
        where: the values that columns of a sample must have.
        problem_of: the key of the problem of an id; None if rows hold the problems themselves.
    """

    def __init__(
        self,
        named: Mapping[str, str],
        where: Mapping[str, str | int | float | bool],
        problem_of: Mapping[str, ProblemKey] | None,
    ) -> None:
        self._named = named
        self._where = where
        self._problem_of = problem_of

    def of(self, place: str, row: Row) -> Iterator[tuple[int, ProblemKey, Callable[[], Trace]]]:
        """Yield (index in the row, key of the problem, a function that reads the trace) of each sample that is meant.

        Args:
            place: the file and the row, for errors.
        """
        for index, reader in enumerate(self._readers(place, row)):
            if all(_same(reader.column(column), value) for column, value in self._where.items()):
                if self._problem_of is None:
                    yield index, key_of(reader.text("problem")), reader.trace
                elif (key := self._problem_of.get(reader.id())) is not None:
                    yield index, key, reader.trace

    def traces(self, place: str, row: Row) -> list[Callable[[], Trace]]:
        """Return functions that read the samples of a row, by their index; `of` says which of them are meant."""
        return [reader.trace for reader in self._readers(place, row)]

    def _readers(self, place: str, row: Row) -> Iterator["_RowReader"]:
        """Yield a reader for each sample in a row."""
        for sample in unfolded(row, self._named.get("text")):
            try:
                texts = value_at(sample, self._named.get("text", "text"))
            except KeyError:  # an error only if the row is kept
                texts = None
            samples = len(texts) if isinstance(texts, list) else None
            for at in range(1 if samples is None else samples):
                yield _RowReader(place, sample, self._named, at, samples)


def problems_by_id(path: str, named: Mapping[str, str], prompt: str) -> dict[str, ProblemKey]:
    """Return the keys of the problems of a file by their ids, as rows that hold ids write them.

    Args:
        named: the columns of id and problem.
        prompt: what stands around a problem.
    """
    keys: dict[str, ProblemKey] = {}
    for number, row in read_rows(path):
        reader = _RowReader(f"{path} row {number}", row, named)
        key = key_of(render(prompt, reader.text("problem")))
        if keys.setdefault(reader.id(), key) != key:
            raise InputError(f"{path} row {number}: id '{reader.id()}' is that of another problem already")
    return keys


class _RowReader:
    """Reads the fields of one sample of a row; every error names the file, the row and the column.

    Args:
        place: the file and the row.
        row: the row.
        named: names of columns by field.
        at: index of the sample, if the row has a list of texts.
        samples: how many texts the list has; columns with a list of the same length have a value for each.
    """

    def __init__(
        self, place: str, row: Mapping[str, Any], named: Mapping[str, str], at: int = 0, samples: int | None = None
    ) -> None:
        self._place = place
        self._row = row
        self._named = named
        self._at = at
        self._samples = samples

    def name(self, field: str) -> str:
        """Return the column of a field."""
        return self._named.get(field, "custom_id" if field == "id" and "custom_id" in self._row else field)

    def column(self, column: str) -> Any:
        try:
            value = value_at(self._row, column)
        except KeyError:
            hint = "; options.problems says which problem an id is" if column == "problem" else ""
            raise InputError(
                f"{self._place}: field '{column}' is missing, the row has: {', '.join(self._row)}{hint}"
            ) from None
        return value[self._at] if isinstance(value, list) and len(value) == self._samples else value

    def text(self, name: str) -> str:
        column = self.name(name)
        return text_of({column: self.column(column)}, column, self._place, empty=True)

    def id(self) -> str:
        value = self.column(self.name("id"))
        return str(value) if isinstance(value, int) else self.text("id")

    def trace(self) -> Trace:
        finish = self._finish_reason() if self._gives("finish_reason") else "stop"
        why = self._row.get("error")
        error = f"recorded as failed in the file{f': {why}' if why and isinstance(why, str) else ''}"
        if self.column(self.name("text")) is None:
            return Trace("", "", "error", 0, error if finish == "error" else "the file holds no text (null)")
        text = self.text("text")
        reasoning = self.text("reasoning") if self._gives("reasoning") else ""
        tokens = self._tokens() if self._gives("tokens") else len(reasoning.split()) + len(text.split())
        return Trace(text, reasoning, finish, tokens, error if finish == "error" else "")

    def _gives(self, name: str) -> bool:
        """Whether the row has an optional field; a column that the user named must exist, but may be null."""
        return (name in self._named or name in self._row) and self.column(self.name(name)) is not None

    def _finish_reason(self) -> FinishReason:
        given = self.text("finish_reason")
        for known in get_args(FinishReason):
            if given == known:
                return known
        column = self.name("finish_reason")
        raise InputError(f"{self._place}: field '{column}' is '{given}', expected one of: stop, length, error")

    def _tokens(self) -> int:
        column = self.name("tokens")
        value = self.column(column)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value)  # CSV has no numbers
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise InputError(f"{self._place}: field '{column}' is {value!r}, expected a whole number from 0")
        return value


def _same(value: Any, wanted: str | int | float | bool) -> bool:
    """Whether two values are equal and of the same type: True is not 1, but 1.0 is."""
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)
