"""Reads problems out of the rows of a source: columns, texts within columns, answer types by row."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from forkpipe.core.chats import content_of, roles_of
from forkpipe.core.errors import InputError
from forkpipe.core.ids import unit_interval
from forkpipe.core.read_rows import text_of, value_at
from forkpipe.core.records import SPLITS, Problem
from forkpipe.core.rows import Split
from forkpipe.parameters.problems import AnswerTypeByRow, FieldNames, FieldReader, Shares
from forkpipe.verification.answers import find_answer


class Unread(Exception):  # noqa: N818  # no error: the row is rejected, and the message says why
    """A row without the text that a `FieldReader` looks for."""


class Source:
    """How the rows of one source become problems.

    Args:
        name: kept in every problem.
        where: the file or catalog entry, for messages.
        fields, answer_type, filters, keep: see `SourceSettings`, where filters are called `where`.
        parameter: the parameter that names the columns, for messages.
    """

    def __init__(
        self,
        name: str,
        where: str,
        *,
        fields: FieldNames,
        answer_type: str | AnswerTypeByRow,
        shares: Shares,
        salt: str,
        parameter: str,
        filters: Mapping[str, Any] | None = None,
        keep: list[str] | None = None,
    ) -> None:
        self.name = name
        self.where = where
        self._fields = fields
        self._answer_type = answer_type
        self._shares = shares
        self._salt = salt
        self._parameter = parameter
        self._filters = filters or {}
        self._keep = keep

    def problems(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Problem | tuple[Problem, str]]:
        """Yield a problem for each row that the filters leave, or (problem, reason) for a row that must be rejected.

        Raises:
            InputError: a column is missing, a value is no text, a source id occurs twice, or no row is left.
        """
        first: dict[str, int] = {}
        unseen = set(self._keep or ())
        for number, row in enumerate(rows, start=1):
            unseen.difference_update(row)
            if not all(_matches(_value(row, column), wanted) for column, wanted in self._filters.items()):
                continue
            source_id = self._source_id(row, number)
            if source_id in first:
                raise InputError(
                    f"{self.where} row {number}: source id '{source_id}' stands in row {first[source_id]} already, "
                    "expected it once"
                )
            first[source_id] = number
            yield self._problem(row, number, source_id)
        if first and unseen:
            raise InputError(f"{self.where}: no row has the column '{min(unseen)}', which keep of {self.name} names")
        if not first:
            wanted = ", ".join(f"{column} = {value!r}" for column, value in self._filters.items())
            raise InputError(
                f"{self.where} has no rows{f' with {wanted}' * bool(wanted)}, expected at least one problem"
            )

    def _problem(self, row: Mapping[str, Any], number: int, source_id: str) -> Problem | tuple[Problem, str]:
        fields = self._fields
        used = {name for name in (fields.problem, fields.answer, fields.source_id) if isinstance(name, str)}
        kept = row if self._keep is None else {name: row[name] for name in self._keep if name in row}
        common: dict[str, Any] = {
            "source": self.name,
            "source_id": source_id,
            "metadata": {key: value for key, value in kept.items() if key not in used},
        }
        texts: list[str] = []
        for field in (fields.problem, fields.answer):
            try:
                texts.append(self._text(row, field, number))
            except Unread as unread:
                problem, answer = (*texts, "", "")[:2]
                return Problem.create(problem, answer, answer_type="text", **common), str(unread)
        problem, answer = texts
        unsplit = Problem.create(problem, answer, answer_type=self._type(row, answer, number), **common)
        return replace(unsplit, split=drawn_split(unsplit.problem_id, self._shares, self._salt))

    def _source_id(self, row: Mapping[str, Any], number: int) -> str:
        name = self._fields.source_id
        return str(number) if name is None else self._text(row, name, number)

    def _text(self, row: Mapping[str, Any], field: str | FieldReader, number: int) -> str:
        column = field if isinstance(field, str) else field.field
        value = _value(row, column)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(
                value
            )  # ids and answers are often integers; floats are refused, since they may have lost digits
        cell = {} if value is _MISSING else {column: value}
        where, expected = f"{self.where} row {number}", f"expected it as in {self._parameter}"
        if isinstance(field, str):
            return text_of(cell, column, where, expected=expected).strip()
        if field.read in ("user", "assistant"):
            text = _said(cell, column, field.read, where, expected)
        else:
            text = text_of(cell, column, where, expected=expected)
        return _taken(text, field)

    def _type(self, row: Mapping[str, Any], answer: str, number: int) -> str:
        given = self._answer_type
        if isinstance(given, AnswerTypeByRow):
            value = _value(row, given.field)
            if value is _MISSING:
                raise InputError(
                    f"{self.where} row {number}: field '{given.field}' is missing, the answer type is in it"
                )
            named = given.values.get(str(value)) or given.other
            given = str(value) if named is None else named
        if given == "auto":
            return "integer" if re.fullmatch(r"[+-]?\d+", answer) else "math"
        return given


_MISSING = object()


def _value(row: Mapping[str, Any], column: str) -> Any:
    try:
        return value_at(row, column)
    except KeyError:
        return _MISSING


def _matches(value: Any, wanted: Any) -> bool:
    return any(type(value) is type(it) and value == it for it in (wanted if isinstance(wanted, list) else [wanted]))


def _said(cell: Mapping[str, Any], column: str, role: str, where: str, expected: str) -> str:
    """Return the last message of a role in a chat."""
    messages: Any = cell.get(column)
    if hasattr(messages, "tolist"):  # numpy, as pandas reads lists of Parquet
        messages = messages.tolist()
    if not isinstance(messages, list) or not all(isinstance(message, Mapping) for message in messages):
        kind = type(messages).__name__ if column in cell else "missing"
        raise InputError(f"{where}: field '{column}' is {kind}, expected a list of messages; {expected}")
    texts = [
        content_of(message)[0] for message, is_by in zip(messages, roles_of(messages), strict=True) if is_by == role
    ]
    if not texts or not isinstance(texts[-1], str):
        raise Unread(f"field '{column}' has no message of role {role}")
    return texts[-1]


def _taken(text: str, field: FieldReader) -> str:
    """Return what a reader takes out of a text."""
    if field.read == "boxed":
        answer = find_answer(text)
        if answer is None or answer.found_in != "box":
            raise Unread(f"field '{field.field}' has no box")
        text = answer.text
    elif field.read == "hash":
        _, mark, rest = text.rpartition("####")
        if not mark or not rest.strip():
            raise Unread(f"field '{field.field}' has no '#### '")
        text = rest.strip().splitlines()[0]
    if field.pattern is not None:
        match = re.search(field.pattern, text)
        if match is None or not (match[match.re.groups] or "").strip():
            raise Unread(f"field '{field.field}' has nothing that matches {field.pattern!r}")
        text = match[match.re.groups]
    return text.strip()


def drawn_split(problem_id: str, shares: Shares, salt: str) -> Split:
    """Return the split of a problem, which depends only on its id: adding problems moves no other problem."""
    place = unit_interval("split", salt, problem_id)
    bound = 0.0
    drawn: Split = SPLITS[0]
    for split in SPLITS:
        share = shares.get(split, 0.0)
        if share > 0:
            drawn = split
        bound += share
        if place < bound:
            return drawn
    return drawn  # the shares sum to slightly less than 1 by rounding
