"""Programs: whether the program of a response passes the tests of its problem."""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from forkpipe.core.errors import InputError
from forkpipe.core.plugins import Plugin, create
from forkpipe.core.records import Verdict
from forkpipe.sandbox.base import Limits, Sandbox
from forkpipe.verification.code.cases import ReadyTests, ready, why_not
from forkpipe.verification.code.extraction import extract_program
from forkpipe.verification.code.grading import Asked, Graded, as_text, grade
from forkpipe.verification.code.store import CaseStore
from forkpipe.verification.code.tests import read_tests, tests_hash

BACKENDS = {
    "auto": Plugin("forkpipe.sandbox.local:LocalSandbox"),
    "namespaces": Plugin("forkpipe.sandbox.local:LocalSandbox"),
    "landlock": Plugin("forkpipe.sandbox.local:LocalSandbox"),
    "sandbox_fusion": Plugin("forkpipe.sandbox.sandbox_fusion:SandboxFusion"),
    "piston": Plugin("forkpipe.sandbox.piston:Piston"),
    "ray": Plugin("forkpipe.sandbox.ray:RaySandbox", ("ray",), "ray"),
}
LOCAL = ("auto", "namespaces", "landlock")

MOST_KEPT = 200_000
"""Verdicts that one verifier keeps; beyond that the oldest go."""
LONGEST_SHOWN = 100_000
"""Characters of a program in the verdict."""


class _Row(NamedTuple):
    number: int
    key: str
    asked: Asked
    found_in: str


class CodeVerifier:
    r"""Says whether the program of a response passes all tests of its problem.

    | verdict | rule |
    |---|---|
    | correct | of comparison: lcb, tokens, floats, exact, any_order, python (asserts) |
    | wrong | the same, or `error ValueError`, `signal 11`, `memory`, `output-limit`, `refused fork`, `too-long` |
    | timeout | `cpu` its processor time, `wall` it slept, `total` all cases together |
    | unparsed | no program; `gold-unparsed`: the tests cannot be read |
    | failed | `sandbox: ...`: the sandbox or service could not say |

    Verdicts are kept by (tests, program, limits) for as long as the object lives, but for those by the clock.

    >>> tests = '{"version": 1, "language": "python", "kind": "stdin", "cases": [{"input": "1 2", "output": "3"}]}'
    >>> verifier = CodeVerifier(workers=1)
    >>> verifier.verify([tests], ["```python\nprint(sum(map(int, input().split())))\n```"], [False])[0].verdict
    'correct'
    >>> verifier.close()
    """

    name = "code"
    version = "2"
    gives_detail = True
    """Whether verdicts hold a `detail`, which files of verdicts then have as a column."""

    def __init__(
        self,
        backend: str = "auto",
        workers: int | None = None,
        cpu_seconds: float = 6.0,
        wall_seconds: float | None = None,
        total_seconds: float = 60.0,
        memory_mb: int = 2048,
        output_mb: float = 16,
        threads: int = 64,
        packages: Sequence[str] = ("numpy",),
        tests: str | None = None,
        keep_cases: int | None = None,
        grader: str = "forkpipe",
        service: Mapping[str, Any] | None = None,
    ) -> None:
        """Make a verifier; no process starts yet.

        Args:
            backend: auto, namespaces, landlock, ray, sandbox_fusion, piston, or "package.module:Class".
            workers: runs at the same time, null: one a core.
            cpu_seconds: processor time of one run.
            wall_seconds: time by the clock of one run, null: 2 x cpu_seconds + 2.
            total_seconds: of all runs of one program.
            memory_mb: address space of a run.
            output_mb: of each of its outputs.
            threads: of a run.
            packages: installed packages that programs may import, of those that are installed.
            tests: folder of test cases that are too large for a table.
            keep_cases: cases of a problem that are run, the public and the largest; null: all.
            grader: forkpipe, or livecodebench: as LiveCodeBench's own grader does, which does not wait for threads
                and has nothing on file descriptor 0.
            service: arguments of a backend that is no local one, e.g. `{url: ...}` or `{actors: 8}`.

        Raises:
            InputError: a value is out of range, or the backend is unknown.
        """
        for name, value, least in (
            ("cpu_seconds", cpu_seconds, 0.01), ("total_seconds", total_seconds, 0.01), ("memory_mb", memory_mb, 64),
            ("output_mb", output_mb, 0.001), ("threads", threads, 1), ("workers", workers or 1, 1),
            ("keep_cases", keep_cases or 1, 1), ("wall_seconds", wall_seconds or 1, 0.01),
        ):  # fmt: skip
            if not value >= least:
                raise InputError(f"verification {name} is {value}, expected at least {least}")
        if grader not in ("forkpipe", "livecodebench"):
            raise InputError(f"verification grader is '{grader}', expected forkpipe or livecodebench")
        if grader == "livecodebench" and backend not in LOCAL:
            raise InputError(f"verification grader livecodebench needs a local backend, not '{backend}'")
        options: dict[str, Any] = dict(service or {})
        if backend in LOCAL:
            options |= {"workers": workers, "backend": backend, "packages": packages}
        self._sandbox: Sandbox = create("backend", BACKENDS, backend, options, "verification.options.code")
        self._workers: int = workers or int(getattr(self._sandbox, "workers", 1))
        self._limits = Limits(cpu_seconds, wall_seconds, memory_mb, output_mb, threads)
        self._total_seconds = total_seconds
        self._packages = tuple(packages)
        self._store = CaseStore(tests)
        self._keep_cases = keep_cases
        self._grader = grader
        self._lock = threading.Lock()
        self._kept: dict[str, Graded] = {}

    def verify(self, gold: Sequence[str], responses: Sequence[str], truncated: Sequence[bool]) -> list[Verdict]:
        """Return one verdict a response, in order; nothing that a response holds makes this raise.

        Raises:
            ValueError: the three differ in length.
            InputError: programs cannot be run here, or a file of test cases is missing.
        """
        verdicts: list[Verdict] = []
        rows: list[_Row] = []
        for index, (tests, response, cut) in enumerate(zip(gold, responses, truncated, strict=True)):
            verdict = self._look(index, tests, response, cut, rows)
            verdicts.append(verdict)
        for row, graded in zip(rows, self._grade(rows), strict=True):
            program = row.asked.programs[min(graded.program, len(row.asked.programs) - 1)][:LONGEST_SHOWN]
            detail = self._caveats(gold[row.number]) | graded.detail
            verdicts[row.number] = Verdict(graded.verdict, program, graded.rule, row.found_in, as_text(detail))
        return verdicts

    def _caveats(self, tests: str) -> dict[str, Any]:
        """Return what has to be said beside every figure that counts a verdict, see `core.subsets.Caveats`."""
        said: dict[str, Any] = {"public_only": True} if read_tests(tests).partial else {}
        return said if self._grader == "forkpipe" else {**said, "grader": self._grader}

    def _look(self, index: int, tests: str, response: str, cut: bool, rows: list[_Row]) -> Verdict:
        """Return the verdict of a row that needs no run; note the row where it does."""
        try:
            entry = read_tests(tests).entry
        except InputError:
            return Verdict("truncated") if cut else Verdict("unparsed", rule="gold-unparsed")
        caveats = self._caveats(tests)
        detail = as_text(caveats) if caveats else ""
        if cut:
            return Verdict("truncated", detail=detail)
        extracted = extract_program(response, entry)
        if extracted is None:
            return Verdict("unparsed", detail=detail)
        asked = Asked(self._ready(tests), extracted.programs)
        rows.append(_Row(index, self._key(tests, extracted.programs), asked, extracted.found_in))
        return Verdict("failed", rule="sandbox: no verdict")

    def _ready(self, tests: str) -> ReadyTests:
        return ready(tests, self._limits, self._store, self._keep_cases, self._grader == "livecodebench")

    def _key(self, tests: str, programs: Sequence[str]) -> str:
        parts = [tests_hash(tests), self._grader, *programs]
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()

    def _grade(self, rows: Sequence[_Row]) -> list[Graded]:
        """Return what became of each row's program, running only what is not known, and everything once."""
        with self._lock:
            graded = {row.key: self._kept[row.key] for row in rows if row.key in self._kept}
        missing = {row.key: row.asked for row in rows if row.key not in graded}
        if missing:
            fresh = grade(
                list(missing.values()),
                self._sandbox,
                workers=self._workers,
                total_seconds=self._total_seconds,
                packages=self._packages,
            )
            graded |= dict(zip(missing, fresh, strict=True))
            with self._lock:
                for key in missing:
                    if graded[key].verdict != "failed" and graded[key].rule != "wall":
                        self._kept[key] = graded[key]
                while len(self._kept) > MOST_KEPT:
                    del self._kept[next(iter(self._kept))]
        return [graded[row.key] for row in rows]

    def check_gold(self, golds: Sequence[str]) -> list[bool]:
        """Say of each gold answer whether it holds tests that programs can be judged by; see `why_not`."""
        return [self.why_not(gold) is None for gold in golds]

    def why_not(self, gold: str) -> str | None:
        """Return why programs cannot be judged by a gold answer, None where they can."""
        try:
            return why_not(gold, self._store)
        except InputError as error:
            return str(error)

    def close(self) -> None:
        """End the worker processes; a later call starts them anew."""
        self._sandbox.close()
