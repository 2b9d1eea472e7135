"""The id of the current session, for the `run_id` column of every table.

Datasets do not learn which session they save for, so a hook says it once before the pipeline runs. A process runs one
session at a time, so one value will do.
"""

INTERACTIVE = "interactive"
"""Run id of rows that are written outside a Kedro session."""

_current = INTERACTIVE


def begin(run_id: str) -> None:
    """Say that the rows from now on belong to this session."""
    global _current
    _current = run_id


def current() -> str:
    """Return the id of the session in progress."""
    return _current
