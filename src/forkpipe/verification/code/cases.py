"""Tests made ready to run: what the sandbox is given for a case, and what decides whether it passes."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.sandbox.base import Assertions, Call, Job, Limits, Run
from forkpipe.sandbox.values import encode
from forkpipe.verification.code.asserts import LiteralCall, literal_call, why_unprovable
from forkpipe.verification.code.compare import SLACK, same_output, same_value
from forkpipe.verification.code.store import CaseStore
from forkpipe.verification.code.tests import (
    AssertCase,
    FunctionCase,
    ProgramTests,
    StdinCase,
    read_cases,
    read_tests,
)

LONGEST_SHOWN = 400
"""Characters of an input that are kept for people."""


@dataclass(frozen=True, slots=True)
class ReadyCase:
    """Tests of one run: a job that lacks its programs, and what is expected, which never goes into the sandbox."""

    job: Job
    rule: str
    expected: tuple[tuple[Any, ...], ...]
    """Right outputs or values, of each call where there are several; empty for code that decides by itself."""
    shown: tuple[str, ...]
    """The input, or each call, for people."""
    written: int = 0
    """Characters of the expected values as JSON."""

    def passed(self, run: Run, tolerances: tuple[float, float]) -> int:
        """Return how many of the case's `shown` tests a run has passed, up to the first that it has not."""
        if self.job.assertions is not None:
            return int(json.loads(run.tests or b"{}").get("passed") is True)
        if self.job.call is None:
            output = run.stdout.decode("utf-8", "replace")
            return int(any(same_output(self.rule, expected, output, *tolerances) for expected in self.expected[0]))
        count = 0
        if len(run.report) > SLACK + 8 * self.written:
            return 0
        try:
            for expected, answer in zip(self.expected, json.loads(run.report)["values"], strict=False):
                if not any(same_value(self.rule, value, answer["value"], *tolerances) for value in expected):
                    break
                count += 1
        except (ValueError, RecursionError, KeyError, TypeError):
            pass  # the program wrote the report itself: one that cannot be read passes no further case
        return count


@dataclass(frozen=True, slots=True)
class ReadyTests:
    """The tests of a problem, ready to run."""

    tests: ProgramTests
    cases: tuple[ReadyCase, ...]


def ready(
    text: str, limits: Limits, store: CaseStore | None = None, keep: int | None = None, captured: bool = False
) -> ReadyTests:
    """Return tests ready to run.

    Args:
        text: the gold answer.
        limits: of a run, where the problem has none of its own.
        store: of cases that are too large for a table.
        keep: cases at most, see `chosen`; None for all.
        captured: see `sandbox.base.Job`; programs that read their input only.

    Raises:
        InputError: the text holds no tests, or its cases are not in the store.
    """
    tests = read_tests(text)
    own = tests.limits
    limits = replace(
        limits,
        cpu_seconds=own.cpu_seconds or limits.cpu_seconds,
        memory_mb=own.memory_mb or limits.memory_mb,
    )
    given = tests.cases
    if tests.tests_file is not None:
        given = (store or CaseStore(None)).load(tests.tests_file.path, tests.tests_file.sha256)
    if not given:
        raise InputError(f"{tests.tests_file.path if tests.tests_file else 'tests'}: holds no cases")
    cases = chosen(read_cases(tests.kind, given), tests.public or 0, keep)
    literal = [(case, call) for case in cases if (call := _literal(tests, case))]
    others = [case for case in cases if not _literal(tests, case)]
    calls = [_calls(tests, literal, limits)] if literal else []
    return ReadyTests(tests, (*calls, *(_ready_case(tests, case, limits, captured) for case in others)))


def _literal(tests: ProgramTests, case: Any) -> LiteralCall | None:
    return literal_call(case.code, tests.entry or "") if isinstance(case, AssertCase) else None


def _calls(tests: ProgramTests, literal: list[tuple[AssertCase, LiteralCall]], limits: Limits) -> ReadyCase:
    """Return all asserts on plain data as the calls of one run, as they would share an interpreter."""
    call = Call(tests.entry or "", encode([one.arguments for _, one in literal]))
    expected = tuple((one.expected,) for _, one in literal)
    shown = tuple(case.code[:LONGEST_SHOWN] for case, _ in literal)
    return ReadyCase(Job((), call=call, limits=limits), "python", expected, shown, len(encode(expected)))


def chosen(cases: Sequence[Any], public: int, keep: int | None) -> list[Any]:
    """Return the public cases and of the others those with the largest inputs, in their order, `keep` in all.

    Most wrong programs fail on the largest inputs, by their time if not by their output.

    >>> [case.input for case in chosen([StdinCase(input="x" * n, output="") for n in (2, 1, 5, 9)], 1, 3)]
    ['xx', 'xxxxx', 'xxxxxxxxx']
    """
    if keep is None or len(cases) <= keep:
        return list(cases)
    hidden = sorted(range(public, len(cases)), key=lambda at: -len(_shown(cases[at])))
    kept = sorted([*range(min(public, keep)), *hidden[: max(0, keep - public)]])
    return [cases[at] for at in kept]


def _shown(case: StdinCase | FunctionCase | AssertCase) -> str:
    if isinstance(case, StdinCase):
        return case.input
    return json.dumps(case.args) if isinstance(case, FunctionCase) else case.code


def _ready_case(
    tests: ProgramTests, case: StdinCase | FunctionCase | AssertCase, limits: Limits, captured: bool
) -> ReadyCase:
    rule = tests.compare.rule
    shown = (_shown(case)[:LONGEST_SHOWN],)
    if isinstance(case, StdinCase):
        if captured:
            limits = replace(limits, wall_seconds=limits.wall_seconds or limits.cpu_seconds)
        stdin = case.input.encode("utf-8", "surrogatepass")
        job = Job((), stdin, prelude=True, captured=captured, limits=limits)
        return ReadyCase(job, rule, ((case.output,),), shown)
    entry = tests.entry or ""
    if isinstance(case, FunctionCase):
        call = Call(entry, encode([case.args]))
        job = Job((), call=call, prelude=True, limits=limits)
        return ReadyCase(job, rule, ((case.output, *case.also),), shown, len(encode(case.output)))
    setup = f"{tests.setup}\n{tests.prompt}"
    return ReadyCase(Job((), assertions=Assertions(entry, setup, case.code), limits=limits), "python", (), shown)


def why_not(text: str, store: CaseStore | None) -> str | None:
    """Return why programs cannot be judged by a gold answer, None where they can.

    Raises:
        InputError: as `ready`.
    """
    tests = read_tests(text)
    if tests.tests_file is not None:
        (store or CaseStore(None)).load(tests.tests_file.path, tests.tests_file.sha256)
    if tests.kind != "asserts":
        return None
    for number, case in enumerate(read_cases(tests.kind, tests.cases)):
        if isinstance(case, AssertCase) and literal_call(case.code, tests.entry or "") is None:
            reason = why_unprovable(case.code, tests.entry or "", f"{tests.setup}\n{tests.prompt}")
            if reason:
                return f"cases.{number} cannot be checked apart from the program: it {reason}"
    return None


def sources(tests: ProgramTests, programs: Sequence[str]) -> tuple[str, ...]:
    """Return what is run, in order of preference: with the prompt in front where there is one.

    A program that defines the function may rely on the prompt's imports and helpers, a bare body needs the prompt to
    be Python at all.
    """
    if not tests.prompt:
        return tuple(programs)
    defines = _definition(tests.entry or "")
    return tuple(
        source
        for program in programs
        for source in (
            (f"{_closed(tests.prompt)}\n\n{program}", program)
            if defines.search(program)
            else (f"{tests.prompt}{program}", program)
        )
    )


@lru_cache(maxsize=1024)
def _definition(entry: str) -> re.Pattern[str]:
    return re.compile(rf"^def\s+{re.escape(entry)}\b", re.MULTILINE)


def _closed(prompt: str) -> str:
    """Give the last function of a prompt a body."""
    return prompt.rstrip() + "\n    pass\n"
