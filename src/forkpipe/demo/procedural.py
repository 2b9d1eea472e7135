"""A teacher that is a program: solves problems by named strategies, with set rates of mistakes and cut traces."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from forkpipe.core.engine import Engine
from forkpipe.core.errors import InputError
from forkpipe.core.ids import unit_interval
from forkpipe.core.records import REFUSED, Completion, Request
from forkpipe.demo import linear_equations, modular_powers

TASKS: tuple[Any, ...] = (modular_powers, linear_equations)
"""Modules with the same names: `parse`, `STRATEGIES`, `wrong_values`, and an `EXAMPLE` of the problems they solve. No
two of them have a strategy of the same name."""


class ProceduralEngine(Engine):
    """Solves the problems of one of `TASKS` by the named strategy; a token is a word.

    Args:
        strategy: one of a task's `STRATEGIES`, or a list of them, of which every trace draws one.
        error_rate: share of traces with one wrong step, from which the rest is carried on, 0 to 1.
        truncation_rate: share of traces cut at a random word, finish_reason "length", 0 to 1.
    """

    version = "1"
    holds_model = False

    def __init__(self, *, strategy: str | Sequence[str], error_rate: float = 0.0, truncation_rate: float = 0.0) -> None:
        names = [strategy] if isinstance(strategy, str) else list(strategy)
        known = "; or ".join(", ".join(task.STRATEGIES) for task in TASKS)
        for name in names or [""]:
            if not any(name in task.STRATEGIES for task in TASKS):
                raise InputError(f"strategy '{name}' is unknown, expected one or several of: {known}")
        tasks = [task for task in TASKS if set(names) <= task.STRATEGIES.keys()]
        if not tasks:
            raise InputError(f"strategies {', '.join(names)} solve different problems, expected some of: {known}")
        for name, rate in (("error_rate", error_rate), ("truncation_rate", truncation_rate)):
            if not isinstance(rate, int | float) or not 0 <= rate <= 1:
                raise InputError(f"{name} is {rate!r}, expected a number from 0 to 1")
        self.identity = f"procedural {'+'.join(names)} {error_rate} {truncation_rate}"
        self._task = tasks[0]
        self._names = names
        self._error_rate = error_rate
        self._truncation_rate = truncation_rate

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield one completion a request, in order."""
        for request in requests:
            if request.prefix_ids or request.own_tag:
                raise InputError("engine 'procedural' writes no forking tags")
            yield self._complete(request)

    def strategy_of(self, request: Request) -> str:
        """Return the strategy of a request's trace."""
        return self._names[int(unit_interval("strategy", request.seed) * len(self._names))]

    def _complete(self, request: Request) -> Completion:
        started = time.perf_counter()
        problem = self._task.parse(request.problem)
        if problem is None:
            return Completion(
                request.request_id,
                finish_reason="error",
                error=f"{REFUSED}: not of the form '{self._task.EXAMPLE}': {request.problem!r}",
            )
        solve = self._task.STRATEGIES[self.strategy_of(request)]
        words = solve(problem, self._slip_for(request, problem, solve))
        limit = request.sampling.max_tokens
        if unit_interval("cut", request.seed) < self._truncation_rate:
            limit = min(limit, int(unit_interval("where", request.seed) * len(words)))
        return Completion(
            request.request_id,
            text=" ".join(words[:limit]),
            tokens_in=len(request.prompt.split()),
            tokens_out=min(len(words), limit),
            finish_reason="stop" if len(words) <= limit else "length",
            seconds=time.perf_counter() - started,
        )

    def _slip_for(self, request: Request, problem: Any, solve: Callable[..., list[str]]) -> Callable[[int], int]:
        if unit_interval("slip", request.seed) >= self._error_rate:
            return self._task.no_slip
        steps = 0

        def count(value: int) -> int:
            nonlocal steps
            steps += 1
            return value

        solve(problem, count)  # a dry run, to draw the wrong step evenly over the steps
        generator = random.Random(request.seed)
        wrong_step = generator.randrange(max(steps, 1))
        seen = -1

        def slip(value: int) -> int:
            nonlocal seen
            seen += 1
            if seen != wrong_step:
                return value
            return generator.choice(self._task.wrong_values(problem, value))

        return slip
