"""Tests of a problem: the gold answer of the answer type `code`, as JSON text."""

import hashlib
import json
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from forkpipe.core.errors import InputError

RuleName = Literal["lcb", "tokens", "floats", "exact", "any_order"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StdinCase(_Strict):
    """What a program reads, and what it has to write."""

    input: str
    output: str


class FunctionCase(_Strict):
    """What a function is called with, and what it has to return: plain JSON."""

    args: list[Any]
    output: Any
    also: list[Any] = []
    """Other values that are as right."""

    @model_validator(mode="before")
    @classmethod
    def _has_output(cls, given: Any) -> Any:
        if isinstance(given, dict) and "output" not in given:
            raise ValueError("output is missing")
        return given


class AssertCase(_Strict):
    """Python code that tests the function: one assert, or any code that raises where the function is wrong."""

    code: str = Field(alias="assert")


class Compare(_Strict):
    """How outputs are compared, see `compare`."""

    rule: RuleName = "lcb"
    rel_tol: Annotated[float, Field(ge=0, lt=1)] = 1e-6
    abs_tol: Annotated[float, Field(ge=0)] = 1e-6


class CaseLimits(_Strict):
    """Limits of the problem, in place of the verifier's."""

    cpu_seconds: Annotated[float, Field(gt=0)] | None = None
    memory_mb: Annotated[int, Field(ge=64)] | None = None


class TestsFile(_Strict):
    """Where cases lie that are too large to stand in a table, see `store`."""

    __test__ = False  # no tests for pytest
    path: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ProgramTests(_Strict):
    """The tests of a problem.

    Attributes:
        kind: `stdin` runs the program with an input and compares its output, `function` calls `entry` and compares
            the value, `asserts` checks `entry` by code.
        entry: the function, or a method of the class `Solution`.
        setup: code in front of asserts.
        prompt: what a model completes, code as well: it stands in front of programs that lack what it defines, and of
            asserts.
        cases: the tests, in the order in which they run; empty where `tests_file` holds them.
        public: how many of the first cases the problem shows.
        partial: cases that the problem has and that are missing here, 0: none.
    """

    version: Literal[1]
    language: str
    kind: Literal["stdin", "function", "asserts"]
    entry: Annotated[str, Field(pattern=r"^[^\W\d]\w*$")] | None = None
    setup: str = ""
    prompt: str = ""
    cases: list[dict[str, Any]] = []
    tests_file: TestsFile | None = None
    public: Annotated[int, Field(ge=0)] | None = None
    partial: Annotated[int, Field(ge=0)] = 0
    interactive: bool = False
    compare: Compare = Compare()
    limits: CaseLimits = CaseLimits()

    @model_validator(mode="after")
    def _complete(self) -> "ProgramTests":
        if self.language not in ("python", "python3"):
            raise ValueError(f"language is '{self.language}', only python is run")
        if self.interactive:
            raise ValueError("the problem is interactive, which has no verifier")
        if self.kind != "stdin" and not self.entry:
            raise ValueError(f"entry is missing, expected the name of the function that kind {self.kind} tests")
        if bool(self.cases) == (self.tests_file is not None):
            raise ValueError("cases is empty, expected at least one, or tests_file in its place")
        read_cases(self.kind, self.cases)
        return self


_CASES: dict[str, type[StdinCase] | type[FunctionCase] | type[AssertCase]] = {
    "stdin": StdinCase,
    "function": FunctionCase,
    "asserts": AssertCase,
}


def read_cases(kind: str, cases: list[dict[str, Any]]) -> list[StdinCase | FunctionCase | AssertCase]:
    """Return checked cases; ValueError names the first that is wrong."""
    checked = []
    for number, case in enumerate(cases):
        try:
            checked.append(_CASES[kind].model_validate(case))
        except ValidationError as error:
            raise ValueError(f"cases.{number}: {_first(error)}") from error
    return checked


@lru_cache(maxsize=4096)
def read_tests(text: str) -> ProgramTests:
    """Return the tests that JSON text holds.

    Raises:
        InputError: the text is no JSON or no tests; names the field and what is expected.

    >>> text = '{"version": 1, "language": "python", "kind": "stdin", "cases": [{"input": "1", "output": "2"}]}'
    >>> read_tests(text).kind
    'stdin'
    """
    try:
        return ProgramTests.model_validate(json.loads(text))
    except ValidationError as error:
        raise InputError(f"tests: {_first(error)}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"tests: {error or type(error).__name__}, expected JSON text of tests") from error


def tests_hash(text: str) -> str:
    """Return what identifies tests: a hash of their text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    said = first["msg"].removeprefix("Value error, ")
    return f"{where}: {said}" if where else said
