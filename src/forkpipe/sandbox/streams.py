"""What stands between a program and its file descriptors: text streams, and paths that lead to them without /proc.

Standard library only; it runs beside the program, as `programs` does.
"""

import builtins
import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import Any

_STREAMS = ("stdin", "stdout", "stderr")
_STREAM_PATHS = {
    path: descriptor
    for descriptor, name in enumerate(_STREAMS)
    for path in (f"/dev/{name}", f"/dev/fd/{descriptor}", f"/proc/self/fd/{descriptor}")
}
"""Paths that lead to the standard streams by way of /proc, which programs do not see."""
_open, _open_descriptor = open, os.open


def open_streams(typed: bytes | None = None) -> None:
    """Give the program text streams on its own file descriptors, and what interactive Python adds to builtins.

    Args:
        typed: what it reads from an object in place of a file; then its output goes into an object too.
    """
    sys.stdin, sys.stdout, sys.stderr = map(_standard_stream, range(3))
    if typed is not None:
        sys.stdin = io.TextIOWrapper(io.BytesIO(typed), "utf-8", "surrogateescape", newline="\n")
        sys.stdout = io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogateescape", newline="\n")
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    builtins.exit = builtins.quit = _exit  # type: ignore[assignment]
    builtins.open = io.open = open_path
    os.open = open_descriptor
    sys.argv = ["program.py"]


def _standard_stream(descriptor: int) -> io.TextIOWrapper:
    """Return a text stream as the interpreter makes it for a script."""
    mode = "w" if descriptor else "r"
    raw = io.FileIO(descriptor, mode, closefd=False)
    raw.name = f"<{_STREAMS[descriptor]}>"
    stream = io.TextIOWrapper(
        io.BufferedWriter(raw) if descriptor else io.BufferedReader(raw),
        "utf-8",
        "backslashreplace" if descriptor == 2 else "surrogateescape",
        newline="\n",
        line_buffering=descriptor == 2,
    )
    stream.mode = mode  # type: ignore[misc]
    return stream


def open_path(file: Any, *arguments: Any, **named: Any) -> Any:
    """Open a file as `open` does, and the paths of the standard streams by their descriptors."""
    path = os.fspath(file) if isinstance(file, os.PathLike) else file
    descriptor = _STREAM_PATHS.get(path) if isinstance(path, str) else None
    return _open(file if descriptor is None else os.dup(descriptor), *arguments, **named)


def open_descriptor(path: Any, *arguments: Any, **named: Any) -> int:
    """Open a file as `os.open` does, and the paths of the standard streams by their descriptors."""
    descriptor = _STREAM_PATHS.get(path) if isinstance(path, str) else None
    return _open_descriptor(path, *arguments, **named) if descriptor is None else os.dup(descriptor)


def captured(run: Callable[[], None]) -> Callable[[], None]:
    """Return a function that runs a program and ends the process with its main thread, as LiveCodeBench's grader."""

    def run_captured() -> None:
        output: Any = sys.stdout
        with contextlib.suppress(SystemExit):
            run()
        output.flush()
        message = output.buffer.getvalue()
        while message:
            message = message[os.write(1, message) :]
        os._exit(0)

    return run_captured


def _exit(code: object = None) -> None:
    raise SystemExit(code)
