"""Options of the commands that Kedro's session cannot pass on to the runner; they hold for one command."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Options:
    """mode: run, print the plan only, or accept. names: nodes to force or accept. force_all: force all targets."""

    mode: Literal["run", "plan", "accept"] = "run"
    names: tuple[str, ...] = ()
    force_all: bool = False


_current = Options()


def current() -> Options:
    """Return the options of the command in progress."""
    return _current


@contextmanager
def asking(options: Options) -> Iterator[None]:
    """Set the options for the duration of a command."""
    global _current
    before, _current = _current, options
    try:
        yield
    finally:
        _current = before
