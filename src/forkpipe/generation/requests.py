"""Plans of requests to teachers; each request is created when it is accessed."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import overload

import numpy as np

from forkpipe.core.engine import Engine
from forkpipe.core.errors import InputError
from forkpipe.core.progress import logger
from forkpipe.core.prompts import render
from forkpipe.core.records import Problem, Request
from forkpipe.parameters import TeacherSettings


class MadeRequests(Sequence[Request], ABC):
    """A sequence of requests, each created when it is accessed."""

    @abstractmethod
    def make(self, position: int) -> Request:
        """Return the request at a position, counted from 0."""

    @overload
    def __getitem__(self, position: int) -> Request: ...
    @overload
    def __getitem__(self, position: slice) -> list[Request]: ...
    def __getitem__(self, position: int | slice) -> Request | list[Request]:
        if isinstance(position, slice):
            return [self.make(at) for at in range(*position.indices(len(self)))]
        return self.make(range(len(self))[position])

    def __iter__(self) -> Iterator[Request]:
        return (self.make(position) for position in range(len(self)))


class RequestPlan(MadeRequests):
    """The requests to one teacher, in order; a plan of millions fits in memory.

    Args:
        make: returns the request at a position, always the same one.
        earlier: returns the request as earlier versions of forkpipe made it, where these gave it another id.
    """

    def __init__(self, n: int, make: Callable[[int], Request], earlier: Callable[[int], Request] | None = None) -> None:
        self._n = n
        self._make = make
        self._earlier = earlier
        self.keys = np.empty(n, np.uint64)
        """The requests' ids as numbers."""
        self.problems: dict[str, int] = {}
        """The problems in the order of their first requests, with their places in this order."""
        self.problem_of = np.empty(n, np.int32)
        """The place of each request's problem."""
        for position, request in enumerate(self):
            self.keys[position] = int(request.request_id, 16)
            self.problem_of[position] = self.problems.setdefault(request.problem_id, len(self.problems))
        self._order = np.argsort(self.keys, kind="stable")
        if n and (np.diff(self.keys[self._order]) == 0).any():
            raise InputError("a request is planned twice, expected each once: is a problem twice in table problems?")

    def __len__(self) -> int:
        return self._n

    def make(self, position: int) -> Request:
        """Return the request at a position."""
        return self._make(position)

    def earlier_keys(self, positions: np.ndarray) -> np.ndarray:
        """Return the numbers of the ids that earlier versions gave to requests; none if theirs were the same."""
        if self._earlier is None:
            return np.zeros(0, np.uint64)
        ids = (int(self._earlier(int(position)).request_id, 16) for position in positions)
        return np.fromiter(ids, np.uint64, len(positions))

    def position(self, request_id: str) -> int:
        """Return the position of a request; KeyError if the plan does not hold it."""
        try:
            key = np.uint64(int(request_id, 16))
        except (ValueError, OverflowError):
            raise KeyError(request_id) from None
        at = int(np.searchsorted(self.keys, key, sorter=self._order))
        if at == len(self) or self.keys[self._order[at]] != key:
            raise KeyError(request_id)
        return int(self._order[at])


def plan_requests(problems: Sequence[Problem], name: str, teacher: TeacherSettings, engine: Engine) -> RequestPlan:
    """Return the requests to one teacher: `samples` for each problem, or fewer if its engine holds fewer.

    Args:
        engine: its engine, whose identity and version are part of every request's id. Where the engine says what a
            single sample is (`sample_identity`), that is part of the id in place of its identity.
    """
    counts = counts_of(problems, name, teacher, engine)
    which = np.repeat(np.arange(len(problems), dtype=np.int32), counts)
    samples = np.arange(len(which), dtype=np.int32) - np.repeat(np.cumsum(counts) - counts, counts)
    return requests_of(problems, which, samples, name, teacher, engine)


def counts_of(problems: Sequence[Problem], name: str, teacher: TeacherSettings, engine: Engine) -> np.ndarray:
    """Return (problems,) the most samples of a teacher: `samples`, or fewer if its engine holds fewer.

    Raises:
        InputError: the engine holds none of any problem.
    """
    held = [engine.samples_held(problem.problem) for problem in problems]
    counts = np.array([teacher.samples if n is None else min(teacher.samples, n) for n in held], np.int64)
    without = held.count(0)
    if without:
        logger.warning("teacher %s holds no trace of %d of %d problems", name, without, len(problems))
    if not counts.sum():
        raise InputError(
            f"teacher {name} holds no trace of any of the {len(problems)} problems, expected texts equal to theirs "
            "(generation.teachers, generation.splits)"
        )
    return counts


def requests_of(
    problems: Sequence[Problem],
    which: np.ndarray,
    samples: np.ndarray,
    name: str,
    teacher: TeacherSettings,
    engine: Engine,
) -> RequestPlan:
    """Return requests to one teacher.

    Args:
        which: (requests,) the positions of their problems.
        samples: (requests,) their samples.
        engine: see `plan_requests`.
    """
    revision = f"{engine.version} {teacher.revision}"
    sampling = teacher.sampling.record()
    sample_identity: Callable[[str, int], str] | None = getattr(
        getattr(engine, "inner", engine), "sample_identity", None
    )

    def request(position: int, identity: str) -> Request:
        problem = problems[which[position]]
        return Request.create(
            problem_id=problem.problem_id,
            problem=problem.problem,
            asked_of=f"{name} {identity}",
            revision=revision,
            prompt=render(teacher.prompt, problem.problem),
            sample=int(samples[position]),
            sampling=sampling,
        )

    def of_engine(position: int) -> Request:
        return request(position, engine.identity)

    def of_sample(position: int) -> Request:
        assert sample_identity is not None
        return request(position, sample_identity(problems[which[position]].problem, int(samples[position])))

    if sample_identity is None:
        return RequestPlan(len(which), of_engine)
    return RequestPlan(len(which), of_sample, earlier=of_engine)
