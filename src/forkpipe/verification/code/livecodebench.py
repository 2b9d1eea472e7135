"""LiveCodeBench: its windows with the number of problems each must have, its prompt, and its errata.

One name stands for several sets of problems. The "LCB v5" of the SSFT paper is what release v5 has beyond v4, 167
problems, as its figures are whole 167ths; DeepSeek-R1, Qwen and NeMo report 279 problems from August 2024 on. The two
cannot be compared, so a window whose number of problems does not match is refused.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from forkpipe.core.errors import InputError
from forkpipe.core.prompts import PROMPTS, fill


class Window(NamedTuple):
    """Contest dates (inclusive, ISO) of problems within a release, and how many there must be."""

    first: str
    last: str
    problems: int


WINDOWS = {
    "lcb_v5": Window("2023-05-01", "2025-01-31", 880),
    "lcb_v5_paper": Window("2024-09-22", "2025-01-04", 167),
    "lcb_v5_2408_2501": Window("2024-08-01", "2025-01-31", 279),
    "lcb_v5_2407_2412": Window("2024-07-01", "2024-12-31", 315),
}
"""Of release v5."""

ERRATA = {
    **dict.fromkeys(
        (
            "abc311_c", "abc326_d", "abc327_b", "abc333_e", "abc343_e", "abc362_c", "find-words-containing-character",
            "find-the-peaks", "generate-binary-strings-without-adjacent-zeros",
        ),
        "several outputs are right, one is accepted",
    ),
    "abc337_e": "interactive",
    "abc355_e": "interactive",
    "abc350_c": "wrong tests",
}  # fmt: skip
"""Problems that LiveCodeBench's ERRATA.md names, with its reason."""


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


def in_window(rows: Sequence[Mapping[str, Any]], name: str, where: str) -> list[dict[str, Any]]:
    """Return the rows whose `contest_date` lies in a window.

    Raises:
        InputError: the window is unknown, a row has no date, or there are more or fewer than there must be.
    """
    if name not in WINDOWS:
        raise InputError(f"window '{name}' is unknown, expected one of: {', '.join(WINDOWS)}")
    window = WINDOWS[name]
    kept = []
    for number, row in enumerate(rows, start=1):
        date = str(row.get("contest_date") or "")[:10]
        if not date:
            raise InputError(f"{where} row {number}: field 'contest_date' is missing, a window needs it")
        if window.first <= date <= window.last:
            kept.append(dict(row))
    if len(kept) != window.problems:
        raise InputError(
            f"{where}: window {name} ({window.first} to {window.last}) holds {len(kept)} problems, expected "
            f"{window.problems}: another release, or problems are missing; their figures could not be compared"
        )
    return kept
