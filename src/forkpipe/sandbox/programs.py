"""What a confined process does with a program: compiles it, runs it, and reports what cannot be seen from outside.

Everything here shares its process with the program, which can change any of it. So nothing here decides anything: a
report says what a program could as well have printed.
"""

import atexit
import builtins
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


def module(name: str, prelude: dict[str, Any] | None) -> types.ModuleType:
    """Return a fresh module, registered under its name, with the prelude's names if these are given."""
    made = types.ModuleType(name)
    made.__dict__.update(__builtins__=builtins, __file__=FILE)
    if prelude is not None:
        made.__dict__.update(prelude)
        made.__dict__.update(stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr, open=builtins.open)
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
            within = BaseException.with_traceback(error, _within_program(error.__traceback__))
            sys.excepthook(type(error), within, within.__traceback__)
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


def _within_program(traceback: types.TracebackType | None) -> types.TracebackType | None:
    """Return a traceback from the program's first frame on, without the sandbox's own; whole where it has none."""
    at = traceback
    while at is not None and at.tb_frame.f_code.co_filename != FILE:
        at = at.tb_next
    return at or traceback


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
            # The end of an iteration is none of a test's business: it would end `all(map(f, ...))` as if all were true.
            ends_loops = (StopIteration, StopAsyncIteration)
            known = isinstance(raised, type) and issubclass(raised, Exception) and not issubclass(raised, ends_loops)
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
