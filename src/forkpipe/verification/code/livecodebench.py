"""LiveCodeBench: its windows with the number of problems each must have, its prompt, and its errata.

One name stands for several sets of problems. The "LCB v5" of the SSFT paper is what release v5 has beyond v4, 167
problems, as its figures are whole 167ths; DeepSeek-R1, Qwen and NeMo report 279 problems from August 2024 on. The two
cannot be compared, so a window whose number of problems does not match is refused.
"""

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from forkpipe.core.data_files import data_text
from forkpipe.core.errors import InputError
from forkpipe.core.prompts import PROMPTS, fill


class Window(NamedTuple):
    """Contest dates (inclusive, ISO) of problems within a release, and how many there must be."""

    first: str
    last: str
    problems: int


_DATA = tomllib.loads(data_text(__file__, "livecodebench.toml"))

WINDOWS = {name: Window(**fields) for name, fields in _DATA["windows"].items()}
"""Of release v5."""

ERRATA: dict[str, str] = _DATA["errata"]
"""Problems that LiveCodeBench's ERRATA.md names, with the reason."""

NO_ERRATA = "none"


def errata_of(question_id: str) -> str:
    """Return what LiveCodeBench's errata say of a problem, `NO_ERRATA` where they do not name it.

    >>> errata_of("abc337_e"), errata_of("abc388_a")
    ('interactive', 'none')
    """
    return ERRATA.get(question_id, NO_ERRATA)


def prompt_of(problem: str, starter: str) -> str:
    """Return what is asked, as lighteval asks it for the paper's figures."""
    template = PROMPTS["lighteval"].template("code", starter=bool(starter.strip()))
    return fill(template, {"problem": problem, "starter": starter})


def with_starter(problem: str, starter: str) -> str:
    """Return a problem's statement, followed by its starter code where it has any.

    >>> with_starter("Add.", "")
    'Add.'
    """
    return f"{problem}\n\nStarter code:\n```python\n{starter}\n```" if starter.strip() else problem


def window_of(name: str) -> Window:
    """Return a window by its name; InputError where it is unknown."""
    if name not in WINDOWS:
        raise InputError(f"window '{name}' is unknown, expected one of: {', '.join(WINDOWS)}")
    return WINDOWS[name]


def date_of(row: Mapping[str, Any], where: str) -> str:
    """Return the contest date (ISO) of a row; InputError where it has none."""
    date = str(row.get("contest_date") or "")[:10]
    if not date:
        raise InputError(f"{where}: field 'contest_date' is missing, a window needs it")
    return date


def in_window(rows: Sequence[Mapping[str, Any]], name: str, where: str) -> list[dict[str, Any]]:
    """Return the rows whose `contest_date` lies in a window.

    Raises:
        InputError: the window is unknown, a row has no date, or there are more or fewer than there must be.
    """
    window = window_of(name)
    dates = [date_of(row, f"{where} row {number}") for number, row in enumerate(rows, start=1)]
    kept = [dict(row) for row, date in zip(rows, dates, strict=True) if window.first <= date <= window.last]
    if len(kept) != window.problems:
        raise InputError(
            f"{where}: window {name} ({window.first} to {window.last}) holds {len(kept)} problems, expected "
            f"{window.problems}: another release, or problems are missing; their figures could not be compared"
        )
    return kept
