"""Asks all teachers: those at servers at the same time, those that this machine runs one after the other."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from forkpipe.core.engine import Engine
from forkpipe.core.errors import InputError
from forkpipe.core.progress import logger
from forkpipe.core.records import Problem
from forkpipe.generation.asking import Outcome, ask_teacher
from forkpipe.generation.budget import Budget
from forkpipe.generation.early import EarlyCheck
from forkpipe.generation.requests import RequestPlan, plan_requests
from forkpipe.parameters import TeacherSettings
from forkpipe.stores import run_id
from forkpipe.stores.trace_store import TraceStore

AskedOf = dict[str, tuple[list[RequestPlan], Outcome]]
"""By teacher: the plans of its requests, and what came of them."""
Result = TypeVar("Result")


@dataclass(eq=False)
class Asking:
    """Asks teachers for fixed numbers of samples, within one budget; an error of one teacher ends that teacher alone.

    Args:
        teachers: settings by name.
        engines: engines by the same names; each is closed when its teacher has been asked.
        store: the trace store, open.
        check: checks the first answers of each teacher; None for no check.
    """

    problems: Sequence[Problem]
    teachers: Mapping[str, TeacherSettings]
    engines: Mapping[str, Engine]
    store: TraceStore
    budget: Budget
    check: EarlyCheck | None
    _run_id: str = field(init=False, default_factory=run_id.current)

    def ask(self) -> AskedOf:
        """Return the requests to each teacher and their outcome, in the order of the teachers; raises as `ask_each`."""
        came = ask_each(list(self.teachers), self.engines, self._ask_one)
        return {name: ([plan], outcome) for name, (plan, outcome) in came.items()}

    def _ask_one(self, name: str) -> tuple[RequestPlan, Outcome]:
        engine, teacher = self.engines[name], self.teachers[name]
        try:
            plan = plan_requests(self.problems, name, teacher, engine)
            return plan, ask_teacher(
                name, teacher, plan, engine, self.store, self._run_id, budget=self.budget, check=self.check
            )
        finally:
            engine.close()


def ask_each(names: Sequence[str], engines: Mapping[str, Engine], ask: Callable[[str], Result]) -> dict[str, Result]:
    """Return what asking each teacher gives: at servers side by side, on this machine one after the other.

    Raises:
        Exception: the error of a teacher, when all other teachers have been asked; InputError with all messages if
            there are several.
    """
    results: dict[str, Result] = {}
    errors: dict[str, Exception] = {}

    def attempt(name: str) -> None:
        try:
            results[name] = ask(name)
        except Exception as error:
            errors[name] = error
            logger.error("teacher %s ends with an error: %s", name, error)

    remote = [name for name in names if getattr(engines[name], "at_servers", False)]
    if len(names) == 1:
        remote = []
    # Daemon threads, so that an interrupt ends the run immediately, as with a single teacher.
    threads = [threading.Thread(target=attempt, args=(name,), name=f"ask {name}", daemon=True) for name in remote]
    for thread in threads:
        thread.start()
    for name in names:
        if name not in remote:
            attempt(name)
    for thread in threads:
        thread.join()
    if len(errors) > 1 and all(isinstance(error, InputError) for error in errors.values()):
        raise InputError("; ".join(f"{name}: {error}" for name, error in errors.items()))
    for error in errors.values():
        raise error
    return {name: results[name] for name in names}
