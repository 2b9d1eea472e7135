"""The id of the current session, for the `run_id` column of every table.

Kedro does not tell datasets which session saves them, so a hook sets the id before the pipeline runs. A process runs
one session at a time, so one value is enough.
"""

INTERACTIVE = "interactive"
"""The run id of rows that are written outside a Kedro session."""

_current = INTERACTIVE


def begin(run_id: str) -> None:
    """Set the session that writes all further rows."""
    global _current
    _current = run_id


def current() -> str:
    """Return the id of the current session."""
    return _current
