"""What a sandbox is: something that runs programs and says what became of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

Status = Literal["exited", "error", "refused", "memory", "output", "signal", "cpu", "wall", "broken"]
"""How a run ended.

exited: by itself, with any exit status. error: an exception that nothing caught. refused: the same, after a call that
the sandbox does not allow. memory, output, cpu: at the limit. signal: killed by one of its own making, as a crash is.
wall: it slept, or the machine was too busy. broken: the sandbox could not run it, which says nothing of the program.
"""


BUSY = 5
"""A run that computes when its time by the clock is over gets up to this many times as much: the machine is busy."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use."""

    cpu_seconds: float = 6.0
    """Processor time of all threads together."""
    wall_seconds: float | None = None
    """Time by the clock, for programs that sleep; null: 2 x cpu_seconds + 2. See `BUSY`."""
    memory_mb: int = 2048
    """Address space."""
    output_mb: float = 16
    """Standard output, standard error and the returned value, each."""
    threads: int = 64

    @property
    def wall(self) -> float:
        """Seconds by the clock."""
        return 2 * self.cpu_seconds + 2 if self.wall_seconds is None else self.wall_seconds


class Call(NamedTuple):
    """A function to call instead of a program to run to its end."""

    entry: str
    """Name of a function, or of a method of the class `Solution`."""
    arguments: str
    """JSON text as `values.encode` writes it: a list of argument lists, one a call. All calls are made in one process,
    and the first that raises an exception is the last."""


class Assertions(NamedTuple):
    """Code that tests a function and runs in a second process, to which the program's process has no access."""

    entry: str
    """Name of the function, which in the tests stands for a call in the other process."""
    setup: str
    """Code that comes first; errors in it are ignored where it is a prompt that lacks a body."""
    tests: str


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a program.

    Attributes:
        programs: Python sources in order of preference; the first that compiles is run.
        stdin: what the program can read.
        call: a function to call, None runs the program as `__main__`.
        assertions: tests of a function; at most one of these two is given.
        prelude: whether the star imports of LiveCodeBench stand in front, and its recursion limit of 50,000.
        captured: run it as LiveCodeBench's own grader does: standard input and output are objects in the interpreter,
            nothing ever comes on file descriptor 0, and what a thread writes after the main one has ended is lost.
        packages: installed packages that the program may import, as far as the sandbox offers them.
        limits: see `Limits`.
    """

    programs: tuple[str, ...]
    stdin: bytes = b""
    call: Call | None = None
    assertions: Assertions | None = None
    prelude: bool = False
    captured: bool = False
    packages: tuple[str, ...] = ()
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Run:
    """What became of a job.

    Nothing in `stdout`, `stderr` and `report` is to be trusted beyond its size.
    """

    status: Status
    detail: str = ""
    """Name of the exception, number of the signal, name of the refused call, or what is broken."""
    stdout: bytes = b""
    stderr: bytes = b""
    """The last 4 kB."""
    report: bytes = b""
    """JSON of calls: `values`, an object a call with its `value` as `values.encode` writes it, or with its `type` where
    it is no plain data; and `error`, the name of an exception that ended the program."""
    tests: bytes = b""
    """JSON: what the process of the assertions says."""
    program: int = 0
    """Index of the program that ran; -1 where none compiles."""
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    memory_mb: float = 0.0


@runtime_checkable
class Sandbox(Protocol):
    """Runs programs that nobody has read."""

    name: str
    """Backend and version of what decides how a run ends; part of what verdicts are kept by."""

    def run(self, jobs: Sequence[Job]) -> list[Run]:
        """Return one run a job, in order; never raises for anything a program does.

        Raises:
            InputError: programs cannot be run here at all; says why and what to do.
        """
        ...

    def close(self) -> None:
        """End worker processes and connections."""
        ...
