"""A generation made elsewhere, and how the values of its row are read."""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.engines.import_rows import value_at
from forkpipe.engines.serving.replies import FINISHED


@dataclass(frozen=True, slots=True)
class ForeignSample:
    """A generation made elsewhere.

    `asked` is what the model was asked, whole or with a prompt around it; `id` the source's own id, if any. `tag` is
    the index, from 0, of the forking tag that the text follows, None where nobody says.
    """

    place: str
    asked: str
    text: str
    id: str = ""
    reasoning: str = ""
    finish_reason: str = "stop"
    tokens: int | None = None
    tag: int | None = None
    benchmark: str = ""


def column_of(row: Any, column: str, place: str) -> Any:
    """Return a column, or what a path such as "a.b" leads to; InputError if there is none."""
    try:
        return value_at(row, column)
    except KeyError:
        raise InputError(f"{place}: field '{column}' is missing, the row has: {', '.join(row)}") from None


def literal(value: Any) -> Any:
    """Return what the text of a Python list or mapping says; anything else as it is."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return value
    return value


def flat(texts: Any) -> list[Any]:
    """Return the texts of nested lists, in order."""
    if not isinstance(texts, list):
        return [texts]
    return [text for item in texts for text in flat(item)]


def checked_text(text: Any, place: str, column: str) -> str:
    """Return a text; InputError for any other value."""
    if not isinstance(text, str):
        raise InputError(f"{place}: field '{column}' is {type(text).__name__}, expected text")
    return text


def as_text(value: Any) -> str:
    """Return a value as text, empty for None."""
    return "" if value is None else str(value)


def first_text(row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Return the first of some columns that holds something, as text."""
    return next((as_text(row[name]) for name in names if row.get(name) not in (None, "")), "")


def whole_number(value: Any) -> int | None:
    """Return a whole number from 0, None for any other value."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def tag_index(value: Any, place: str) -> int | None:
    """Return the index of a tag given as a number from 1 or as its text."""
    if value is None or value == "":
        return None
    match = re.fullmatch(r"(?:tag:?|think|<\|im_start\|><think|<think)?([1-9]\d*)>?\s*", str(value))
    if match is None:
        raise InputError(f"{place}: tag is {value!r}, expected a number from 1, or a text such as <think1>")
    return int(match[1]) - 1


def finish_reason_of(value: Any, place: str) -> str:
    """Return stop, length or error for a program's name of it, stop where it has none."""
    if value is None or value == "":
        return "stop"
    if value == "error":
        return "error"
    if str(value) not in FINISHED:
        raise InputError(f"{place}: finish reason is {value!r}, expected one of: {', '.join(FINISHED)}")
    return FINISHED[str(value)]
