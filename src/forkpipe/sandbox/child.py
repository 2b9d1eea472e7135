"""A child of a worker: takes what is sent for it, locks itself, and then compiles and runs the program."""

import fcntl
import json
import os
import random
import signal
from collections.abc import Callable
from types import CodeType
from typing import Any, NamedTuple

from forkpipe.sandbox import calls, programs, streams
from forkpipe.sandbox.confine import Lock

STATUS, TO_OTHER, FROM_OTHER, RULES, FIRST_FREE = 4, 5, 6, 7, 8
"""File descriptors of a child, beside the standard ones and the report. Status carries "L" when the child is locked,
then the number of the program that compiles, and is closed before that runs."""

LOCKED = b"L"
_F_ADD_SEALS, _ALL_SEALS = 1033, 15


class Given(NamedTuple):
    """What a child is forked with."""

    header: dict[str, Any]
    """The job without its texts; see `local`."""
    limits: list[tuple[int, int]]
    role: str
    """program or tests."""
    files: tuple[int, ...]
    """stdout, stderr, report, status, and where there are two children, to and from the other one."""
    requests: int
    worker: int
    """Process id of the worker, as its children see it."""


def run_child(lock: Lock, given: Given, prelude: dict[str, Any], leak: bool) -> None:
    """Do the work of a child, to the end of its process.

    Args:
        lock: what it locks itself by.
        given: see `Given`.
        prelude: names for programs that want them.
        leak: keep other file descriptors, for proofs only.
    """
    header = given.header
    status = given.files[3]
    try:
        # A worker has one thread, which is whose end the kernel watches; a program cannot take this back.
        calls.prctl(calls.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != given.worker:
            os._exit(1)
        texts, stdin, typed = _payload(given)
        _arrange(lock, (*stdin[:1], *given.files, *stdin[1:]), leak)
        status = STATUS
        lock.apply(given.limits)
    except BaseException as error:
        write(status, f"{type(error).__name__}: {error}"[:500].encode())
        os._exit(1)
    write(STATUS, LOCKED)
    random.seed(0)
    streams.open_streams(typed)
    if given.role == "tests":
        os.close(STATUS)
        most_bytes = int(header["limits"]["output_mb"] * (1 << 20))
        os._exit(
            programs.guarded(
                lambda: programs.run_tests(header["entry"], texts[0], texts[1], TO_OTHER, FROM_OTHER, most_bytes)
            )
        )
    count = len(header["programs"])
    index, code = programs.compile_first(texts[:count])
    if code is None:
        programs.report(b'{"error":"SyntaxError"}')
        os._exit(1)
    os.write(STATUS, bytes([index]))
    os.close(STATUS)
    task = _task(header, code, texts[count:], prelude if header["prelude"] else None)
    os._exit(programs.guarded(task if typed is None else streams.captured(task)))


def _task(
    header: dict[str, Any], code: CodeType, arguments: list[str], prelude: dict[str, Any] | None
) -> Callable[[], None]:
    if header["kind"] == "call":
        return lambda: programs.call_function(code, header["entry"], arguments[0], prelude)
    if header["kind"] == "assertions":
        return lambda: programs.serve_calls(code, header["entry"], FROM_OTHER, TO_OTHER)
    names = programs.module("__main__", prelude).__dict__
    return lambda: exec(code, names)


def _payload(given: Given) -> tuple[list[str], tuple[int, ...], bytes | None]:
    """Read what belongs to this child.

    Returns:
        texts; the descriptor of a sealed file of the standard input, or of a pipe into which nobody writes with the end
        that keeps it open; in the second case what the program is to read from an object.
    """
    header = given.header
    sizes = header["tests"] if given.role == "tests" else [*header["programs"], *header["arguments"]]
    texts = [read_exactly(given.requests, size).decode("utf-8", "surrogatepass") for size in sizes]
    if header["captured"]:
        return texts, os.pipe(), read_exactly(given.requests, header["stdin"])
    stdin = os.memfd_create("stdin", os.MFD_ALLOW_SEALING)
    if given.role != "tests":
        write(stdin, read_exactly(given.requests, header["stdin"]))
        os.lseek(stdin, 0, 0)
    fcntl.fcntl(stdin, _F_ADD_SEALS, _ALL_SEALS)
    return texts, (stdin,), None


def _arrange(lock: Lock, files: tuple[int, ...], leak: bool) -> None:
    """Put files on the descriptors 0, 1, ... and close all others."""
    wanted = [*files, *[-1] * (RULES - len(files)), lock.ruleset()]
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD, 500) if file >= 0 else -1 for file in wanted]
    for target, file in enumerate(moved):
        if file >= 0:
            os.dup2(file, target, inheritable=False)
            os.close(file)
        elif not leak:
            os.closerange(target, target + 1)
    lock.take_ruleset(RULES)
    if not leak:
        os.closerange(FIRST_FREE, max(os.sysconf("SC_OPEN_MAX"), 1 << 16))


def write_header(file: int, header: dict[str, Any]) -> None:
    """Write a header: its length in four bytes, then JSON."""
    text = json.dumps(header).encode()
    write(file, len(text).to_bytes(4, "big") + text)


def write(file: int, message: bytes) -> None:
    """Write all of a message."""
    while message:
        message = message[os.write(file, message) :]


def read_exactly(file: int, size: int) -> bytes:
    """Return exactly `size` bytes; EOFError where they do not come."""
    blocks = []
    while size:
        block = os.read(file, min(size, 1 << 20))
        if not block:
            raise EOFError
        blocks.append(block)
        size -= len(block)
    return b"".join(blocks)
