"""What a confined process does with a program: compiles it, runs it, and reports what cannot be seen from outside.

Everything here shares its process with the program, which can change any of it. So nothing here decides anything: a
report says what a program could as well have printed.
"""

import atexit
import builtins
import contextlib
import io
import json
import os
import re
import sys
import threading
import types
from collections.abc import Callable
from functools import partial
from typing import Any

from forkpipe.sandbox.values import NotPlainError, decode, encode

REPORT = 3
"""File descriptor of the report."""

FILE = "<program>"

PRELUDE_TEXT = (
    "from string import *\nfrom re import *\nfrom datetime import *\nfrom collections import *\nfrom heapq import *\n"
    "from bisect import *\nfrom copy import *\nfrom math import *\nfrom random import *\nfrom statistics import *\n"
    "from itertools import *\nfrom functools import *\nfrom operator import *\nfrom io import *\nfrom sys import *\n"
    "from json import *\nfrom builtins import *\nfrom typing import *\nimport string\nimport re\nimport datetime\n"
    "import collections\nimport heapq\nimport bisect\nimport copy\nimport math\nimport random\nimport statistics\n"
    "import itertools\nimport functools\nimport operator\nimport io\nimport sys\nimport json\n"
)
"""Names that LiveCodeBench puts in front of every program."""
PRELUDE_RECURSION = 50_000

MOST_BEFORE_ERROR = 50_000
"""Bytes of values that are reported beside an exception."""
_answers: list[bytes] = []
"""Reports on the calls that were made, in this process's one run."""

_MEMORY = b'{"error":"MemoryError"}'
"""Ready made, for there may be no memory left to make it."""


def make_prelude() -> dict[str, Any]:
    """Return the prelude's names; done once a worker, so that a program pays for none of the imports."""
    names: dict[str, Any] = {"__builtins__": builtins}
    exec(compile(PRELUDE_TEXT, "<prelude>", "exec"), names)
    del names["__builtins__"]
    return names


def compile_first(sources: list[str]) -> tuple[int, types.CodeType | None]:
    """Return the index and code of the first source that compiles; -1 and None where none does."""
    for index, source in enumerate(sources):
        try:
            return index, compile(source.removeprefix("\ufeff"), FILE, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, OverflowError, MemoryError):
            continue
    return -1, None


def open_streams(typed: bytes | None = None) -> None:
    """Give the program text streams on its own file descriptors, and what interactive Python adds to builtins.

    Args:
        typed: what it reads from an object in place of a file; then its output goes into an object too.
    """
    reads = io.BufferedReader(io.FileIO(0, "r", closefd=False)) if typed is None else io.BytesIO(typed)
    sys.stdin = io.TextIOWrapper(reads, "utf-8", "surrogateescape")
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.BufferedWriter(io.FileIO(file, "w", closefd=False)), "utf-8", errors)
        for file, errors in ((1, "surrogateescape"), (2, "backslashreplace"))
    )
    if typed is not None:
        sys.stdout = io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogateescape")
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    builtins.exit = builtins.quit = _exit  # type: ignore[assignment]
    sys.argv = ["program.py"]


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


def module(name: str, prelude: dict[str, Any] | None) -> types.ModuleType:
    """Return a fresh module, registered under its name, with the prelude's names if these are given."""
    made = types.ModuleType(name)
    made.__dict__["__builtins__"] = builtins
    if prelude is not None:
        made.__dict__.update(prelude)
        made.__dict__.update(stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr)
        made.__dict__.update(__stdin__=sys.stdin, __stdout__=sys.stdout, __stderr__=sys.stderr)
        sys.setrecursionlimit(PRELUDE_RECURSION)
    sys.modules[name] = made
    return made


def guarded(run: Callable[[], None]) -> int:
    """Call a function as the interpreter runs a script, to the end of its threads; return its exit status."""
    status = 0
    try:
        try:
            run()
        except SystemExit as leaving:
            status = _status_of(leaving)
        except MemoryError:
            report(_MEMORY)
            status = 1
        except BaseException as error:
            status = 1
            report_error(error)
            sys.excepthook(type(error), error, error.__traceback__)
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except MemoryError:
        report(_MEMORY)
        status = 1
    except BaseException:
        status = status or 1
    for stream in {sys.stdout, sys.__stdout__, sys.stderr}:
        try:
            if stream is not None:
                stream.flush()
        except BaseException:
            status = status or 1
    return status


def _status_of(leaving: SystemExit) -> int:
    if leaving.code is None:
        return 0
    if isinstance(leaving.code, int):
        return leaving.code & 0xFF
    print(leaving.code, file=sys.stderr)
    return 1


def report(message: bytes) -> None:
    """Write the report, in place of an earlier one."""
    os.ftruncate(REPORT, 0)
    os.lseek(REPORT, 0, 0)
    while message:
        message = message[os.write(REPORT, message) :]


def report_error(error: BaseException) -> None:
    """Report the name of an exception, and of the call where the sandbox refused one."""
    said: dict[str, Any] = {"error": re.sub(r"\W", "", type(error).__name__)[:60]}
    if isinstance(error, OSError) and error.errno == 1:
        said["refused"] = refused_call(error)
    if isinstance(error, OSError) and error.errno == 27:
        said["error"] = "OutputLimit"
    text = json.dumps(said).encode()
    before = b",".join(_answers)
    report(b'{"values":[%s],%s' % (before, text[1:]) if len(before) < MOST_BEFORE_ERROR else text)


def refused_call(error: BaseException) -> str:
    """Return the name of the function in which the traceback of an exception ends."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    if at is None:
        return ""
    code = at.tb_frame.f_code
    if code.co_filename == FILE:
        names = [name for name in code.co_names if name in _REFUSABLE]
        return names[-1] if names else ""
    return re.sub(r"\W", "", os.path.basename(code.co_filename).removesuffix(".py"))[:40]


_REFUSABLE = {
    "fork", "forkpty", "vfork", "kill", "killpg", "system", "popen", "execv", "execve", "execl", "execlp", "execvp",
    "posix_spawn", "posix_spawnp", "spawnv", "chmod", "chown", "utime", "link", "symlink", "mkfifo", "mknod", "mkdir",
    "makedirs", "remove", "unlink", "rename", "rmdir", "truncate", "setpgid", "setsid", "setuid", "setgid", "nice",
    "setpriority", "sched_setaffinity", "memfd_create", "pidfd_open", "chroot", "setxattr", "unshare", "open",
}  # fmt: skip


def call_function(code: types.CodeType, entry: str, arguments: str, prelude: dict[str, Any] | None) -> None:
    """Load a program, call its function once for each list of arguments and report the values."""
    calls = decode(arguments)
    function = find_function(load(code, prelude), entry)
    for values in calls:
        _answers.append(answer_to(partial(function, *values)))
    report(b'{"values":[%s]}' % b",".join(_answers))


def load(code: types.CodeType, prelude: dict[str, Any] | None) -> dict[str, Any]:
    """Run a program as a module that is not the main one; return its names."""
    made = module("solution", prelude)
    exec(code, made.__dict__)
    return made.__dict__


def find_function(names: dict[str, Any], entry: str) -> Callable[..., Any]:
    """Return a function of a program, or the method of a new `Solution`; NameError where there is neither."""
    solution = names.get("Solution")
    if solution is not None and hasattr(solution, entry):
        return getattr(solution(), entry)
    if entry not in names:
        raise NameError(f"name '{entry}' is not defined")
    return names[entry]


def answer_to(call: Callable[[], Any]) -> bytes:
    """Return the report on the value of a call."""
    try:
        return f'{{"value":{encode(call())}}}'.encode()
    except NotPlainError as error:
        return json.dumps({"type": str(error)}).encode()


def serve_calls(code: types.CodeType, entry: str, incoming: int, outgoing: int) -> None:
    """Load a program, then answer calls of its function, a line each, until there are no more."""
    function = find_function(load(code, None), entry)
    with open(incoming, "rb") as requests:
        for line in requests:
            positional, named = decode(line)
            try:
                answer = answer_to(partial(function, *positional, **named))
            except Exception as error:
                answer = json.dumps({"error": re.sub(r"\W", "", type(error).__name__)[:60]}).encode()
            answer += b"\n"
            while answer:
                answer = answer[os.write(outgoing, answer) :]


class CandidateError(Exception):
    """The tested function raised an exception, returned no plain data, or its process is gone."""


def run_tests(entry: str, setup: str, tests: str, outgoing: int, incoming: int, most_bytes: int) -> None:
    """Run tests of a function whose calls go to another process, and report whether all passed."""
    replies = io.BufferedReader(io.FileIO(incoming))

    def candidate(*positional: Any, **named: Any) -> Any:
        message = encode((list(positional), named)).encode() + b"\n"
        try:
            while message:
                message = message[os.write(outgoing, message) :]
        except BrokenPipeError:
            raise CandidateError("gone") from None
        line = replies.readline(most_bytes)
        if not line.endswith(b"\n"):
            raise CandidateError("gone")
        reply = json.loads(line)
        if "error" in reply:
            raised = getattr(builtins, str(reply["error"]), None)
            known = isinstance(raised, type) and issubclass(raised, Exception)
            raise raised() if raised is not None and known else CandidateError(str(reply["error"])[:60])
        if "value" not in reply:
            raise CandidateError("a value of type " + str(reply.get("type"))[:80])
        return decode(json.dumps(reply["value"]))

    names = module("__tests__", None).__dict__
    try:
        exec(compile(setup, "<setup>", "exec"), names)
    except SyntaxError:
        exec(compile(setup + "\n    pass\n", "<setup>", "exec"), names)
    names[entry] = names["candidate"] = candidate
    try:
        exec(compile(tests, "<tests>", "exec"), names)
    except CandidateError as error:
        report(json.dumps({"failed": "CandidateError", "why": str(error)}).encode())
    except Exception as error:
        report(json.dumps({"failed": type(error).__name__[:60]}).encode())
    else:
        report(b'{"passed":true}')
