"""Programs against tests: many at once, each up to its first failure."""

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from forkpipe.core.rows import VerdictName
from forkpipe.sandbox.base import Job, Run, Sandbox
from forkpipe.verification.code.cases import ReadyCase, ReadyTests, sources
from forkpipe.verification.code.extraction import LONGEST_PROGRAM

SLEEPS_FROM, SLEEPS = 1.0, 0.1
"""Seconds by the clock from which a run counts as slept where it has computed less than this share of them."""
SHOWN = 200
"""Characters of an input or output in the detail."""


class Graded(NamedTuple):
    """What became of a program."""

    verdict: VerdictName
    rule: str
    program: int
    """Index of the program that ran, of those that were given."""
    detail: dict[str, Any]
    """passed and cases: numbers of tests; of the first that failed: input, expected and got; cpu_max, memory_max."""


class Asked(NamedTuple):
    """Programs of a response in order of preference, and the tests."""

    tests: ReadyTests
    programs: tuple[str, ...]


@dataclass
class _State:
    asked: Asked
    sources: tuple[str, ...]
    packages: tuple[str, ...]
    passed: int = 0
    seconds: float = 0.0
    cpu_max: float = 0.0
    memory_max: float = 0.0
    program: int = 0
    graded: Graded | None = None


def grade(
    asked: Sequence[Asked], sandbox: Sandbox, *, workers: int, total_seconds: float, packages: Sequence[str] = ()
) -> list[Graded]:
    """Return what became of each program, in order.

    A program's cases run in their order and stop at the first that fails; those of one program run at the same time
    only where there are fewer programs than workers could take.

    Args:
        asked: programs with tests.
        sandbox: runs them.
        workers: how many jobs the sandbox runs at once.
        total_seconds: processor time of all cases of a program together, or time by the clock where it slept.
        packages: packages that a program is given where its text imports them.

    Raises:
        InputError: the sandbox cannot run anything here.
    """
    states = []
    for one in asked:
        texts = sources(one.tests.tests, one.programs)
        states.append(_State(one, texts, _imported(texts, packages)))
    for state in states:
        if max(map(len, state.sources)) > LONGEST_PROGRAM:
            _end(state, "wrong", "too-long")
    width = max(1, workers // max(1, len(states)))
    with ThreadPoolExecutor(workers, thread_name_prefix="forkpipe-grade") as threads:
        # No more runs are held than workers make at once: their outputs may be large.
        futures = [threads.submit(_grade_one, state, sandbox, width, total_seconds) for state in states]
        try:
            for future in futures:
                future.result()
        finally:
            for future in futures:  # where one raised, the others would only raise too
                future.cancel()
    return [state.graded for state in states if state.graded is not None]


def _grade_one(state: _State, sandbox: Sandbox, width: int, total_seconds: float) -> None:
    """Run the cases of a program, `width` at a time, until one fails or all have passed."""
    cases = state.asked.tests.cases
    for start in range(0, len(cases), width):
        jobs = [
            replace(case.job, programs=state.sources, packages=state.packages) for case in cases[start : start + width]
        ]
        if state.graded is not None:
            return
        for number, (job, run) in enumerate(zip(jobs, sandbox.run(jobs), strict=True), start):
            if state.graded is None:
                _judge(state, number, job, run, sandbox, total_seconds)


def _imported(texts: Sequence[str], packages: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in packages if any(re.search(rf"\b(?:import|from)\s+{name}\b", text) for text in texts))


def _judge(state: _State, number: int, job: Job, run: Run, sandbox: Sandbox, total_seconds: float) -> None:
    if run.status == "wall":
        # It slept, or the machine had no time at all for it: only the first happens twice.
        run = sandbox.run([job])[0]
    state.seconds += run.wall_seconds if run.status == "wall" or _slept(run) else run.cpu_seconds
    state.cpu_max = max(state.cpu_max, run.cpu_seconds)
    state.memory_max = max(state.memory_max, run.memory_mb)
    if run.program >= 0:
        state.program = run.program
    case = state.asked.tests.cases[number]
    compare = state.asked.tests.tests.compare
    passed = case.passed(run, (compare.rel_tol, compare.abs_tol))
    verdict, rule = _outcome(case, run, passed)
    if verdict != "correct":
        state.passed += min(passed, len(case.shown) - 1)
        _end(state, verdict, rule, case, run, passed)
        return
    state.passed += len(case.shown)
    if number == len(state.asked.tests.cases) - 1:
        _end(state, "correct", rule)
    elif state.seconds > total_seconds:
        _end(state, "timeout", "total")


def _slept(run: Run) -> bool:
    """Say whether a run has waited rather than computed: programs that sleep in each case have a limit too.

    A service says nothing of processor time, and of a second or less a busy machine may be the cause.
    """
    return run.wall_seconds > SLEEPS_FROM and 0.0 < run.cpu_seconds < SLEEPS * run.wall_seconds


def _outcome(case: ReadyCase, run: Run, passed: int) -> tuple[VerdictName, str]:
    if run.status == "broken":
        return "failed", f"sandbox: {run.detail}"[:120]
    if run.status in ("cpu", "wall"):
        return "timeout", run.status
    if run.status == "exited":
        return ("correct" if passed == len(case.shown) else "wrong"), case.rule
    names = {"memory": "memory", "output": "output-limit"}
    return "wrong", names.get(run.status) or f"{run.status} {run.detail}".strip()


def _end(
    state: _State,
    verdict: VerdictName,
    rule: str,
    case: ReadyCase | None = None,
    run: Run | None = None,
    failing: int = 0,
) -> None:
    count = sum(len(one.shown) for one in state.asked.tests.cases)
    detail: dict[str, Any] = {"passed": state.passed, "cases": count}
    if case is not None and run is not None:
        failing = min(failing, len(case.shown) - 1)
        detail["input"] = shown(case.shown[failing])
        if case.expected:
            detail["expected"] = shown(_short(case.expected[failing][0]))
        detail["got"] = _got(case, run)
    detail["cpu_max"] = round(state.cpu_max, 4)
    detail["memory_max"] = round(state.memory_max, 1)
    per_program = max(1, len(state.sources) // max(1, len(state.asked.programs)))
    state.graded = Graded(verdict, rule, state.program // per_program, detail)


def _short(value: Any) -> str:
    """Return a value as text; the numbers of tests are no longer than Python can write, or it is not shown."""
    try:
        return value if isinstance(value, str) else repr(value)
    except ValueError:
        return "a number too long to show"


def _got(case: ReadyCase, run: Run) -> str:
    if run.status == "exited":
        text = run.tests if case.job.assertions else run.report if case.job.call else run.stdout
    else:
        # A traceback ends with what went wrong.
        return _escaped(run.stderr[-4 * SHOWN :].decode("utf-8", "replace").strip()[-SHOWN:])[-SHOWN:]
    return shown(text[: 4 * SHOWN].decode("utf-8", "replace"))


def shown(text: str) -> str:
    r"""Return at most 200 characters of a text, with what cannot be printed as escapes.

    >>> shown("a\x1b[31m\n")
    'a\\x1b[31m\\n'
    """
    return _escaped(text[:SHOWN])[:SHOWN]


def _escaped(text: str) -> str:
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def as_text(detail: dict[str, Any]) -> str:
    """Return a detail as JSON text, of 4 kB at most."""
    return json.dumps(detail, ensure_ascii=False)
