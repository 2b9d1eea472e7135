"""What the teachers are asked: plans of requests that are made when they are looked at."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np

from forkpipe.core.errors import InputError
from forkpipe.core.prompts import render
from forkpipe.core.records import Problem, Request
from forkpipe.engines.base import Engine
from forkpipe.parameters import TeacherSettings
from forkpipe.progress import logger


class MadeRequests(Sequence[Request], ABC):
    """Requests that are made when they are looked at."""

    @abstractmethod
    def make(self, position: int) -> Request:
        """Return the request at a position, from 0 on."""

    @overload
    def __getitem__(self, position: int) -> Request: ...
    @overload
    def __getitem__(self, position: slice) -> list[Request]: ...
    def __getitem__(self, position: int | slice) -> Request | list[Request]:
        if isinstance(position, slice):
            return [self.make(one) for one in range(*position.indices(len(self)))]
        return self.make(range(len(self))[position])

    def __iter__(self) -> Iterator[Request]:
        return (self.make(position) for position in range(len(self)))


class RequestPlan(MadeRequests):
    """What one teacher is asked, in order; a plan of millions fits in memory.

    Args:
        problems: texts and ids.
        which: for each request the index of its problem.
        samples: for each request the index of its sample.
        name, teacher, engine: see `plan_requests`.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        which: np.ndarray,
        samples: np.ndarray,
        name: str,
        teacher: TeacherSettings,
        engine: Engine,
    ) -> None:
        self._problems = problems
        self._which = which
        self._samples = samples
        self._template = teacher.prompt
        self._sampling = teacher.sampling.record()
        self._asked_of = f"{name} {engine.identity}"
        self._revision = f"{engine.version} {teacher.revision}"
        self.keys = np.fromiter((int(one.request_id, 16) for one in self), np.uint64, len(self))
        """The requests' ids as numbers."""
        self._order = np.argsort(self.keys, kind="stable")
        if len(self) and (np.diff(self.keys[self._order]) == 0).any():
            raise InputError(
                "table problems holds a problem twice, expected each once: run the pipeline problems again"
            )

    def __len__(self) -> int:
        return len(self._which)

    def make(self, position: int) -> Request:
        """Return the request at a position."""
        problem = self._problems[self._which[position]]
        return Request.create(
            problem_id=problem.problem_id,
            problem=problem.problem,
            asked_of=self._asked_of,
            revision=self._revision,
            prompt=render(self._template, problem.problem),
            sample=int(self._samples[position]),
            sampling=self._sampling,
        )

    def position(self, request_id: str) -> int:
        """Return where a request stands; KeyError where it is not in the plan."""
        try:
            key = np.uint64(int(request_id, 16))
        except (ValueError, OverflowError):
            raise KeyError(request_id) from None
        found = int(np.searchsorted(self.keys, key, sorter=self._order))
        if found == len(self) or self.keys[self._order[found]] != key:
            raise KeyError(request_id)
        return int(self._order[found])


def plan_requests(problems: Sequence[Problem], name: str, teacher: TeacherSettings, engine: Engine) -> RequestPlan:
    """Return what one teacher is asked, `samples` a problem or as many as its engine holds.

    Args:
        problems: those that are asked.
        name: of the teacher.
        teacher: its settings.
        engine: what answers; its identity and version are part of every request's id.
    """
    held = [engine.samples_held(problem.problem) for problem in problems]
    counts = np.array([teacher.samples if one is None else min(teacher.samples, one) for one in held], np.int64)
    without = held.count(0)
    if without:
        logger.warning("teacher %s holds no trace of %d of %d problems", name, without, len(problems))
    if not counts.sum():
        raise InputError(
            f"teacher {name} holds no trace of any of the {len(problems)} problems, expected texts equal to theirs "
            "(generation.teachers, generation.splits)"
        )
    which = np.repeat(np.arange(len(problems), dtype=np.int32), counts)
    samples = np.arange(len(which), dtype=np.int32) - np.repeat(np.cumsum(counts) - counts, counts)
    return RequestPlan(problems, which, samples, name, teacher, engine)


def fixed_samples(
    problems: Sequence[Problem], name: str, teacher: TeacherSettings, engine: Engine
) -> Iterator[RequestPlan]:
    """Yield the one round of a teacher that is asked for a fixed number of samples.

    A planner that asks in rounds is a generator like this one: it is resumed when all requests of its last round have
    been answered, and may look into the store for what to ask next.
    """
    yield plan_requests(problems, name, teacher, engine)
