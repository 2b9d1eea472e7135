"""Asks all teachers: those at servers at the same time, those that this machine runs one after the other."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from forkpipe.core.engine import Engine
from forkpipe.core.errors import InputError
from forkpipe.core.progress import logger
from forkpipe.core.records import Problem
from forkpipe.generation.asking import Outcome, ask_teacher
from forkpipe.generation.budget import Budget
from forkpipe.generation.early import EarlyCheck
from forkpipe.generation.requests import RequestPlan, fixed_samples
from forkpipe.parameters import TeacherSettings
from forkpipe.stores import run_id
from forkpipe.stores.trace_store import TraceStore

Asked = dict[str, tuple[list[RequestPlan], Outcome]]


@dataclass(eq=False)
class Asking:
    """Asks teachers, which share one budget; an error of one teacher ends that teacher alone.

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
    _outcomes: Asked = field(init=False, default_factory=dict)
    _errors: dict[str, Exception] = field(init=False, default_factory=dict)

    def ask(self) -> Asked:
        """Return the rounds of each teacher and their outcome, in the order of the teachers.

        Raises:
            Exception: the error of a teacher, when all other teachers have been asked; InputError with all messages if
                there are several.
        """
        names = list(self.teachers)
        remote = [name for name in names if getattr(self.engines[name], "at_servers", False)]
        if len(names) == 1:
            remote = []
        # Daemon threads, so that an interrupt ends the run immediately, as with a single teacher.
        threads = [threading.Thread(target=self._try, args=(name,), name=f"ask {name}", daemon=True) for name in remote]
        for thread in threads:
            thread.start()
        for name in names:
            if name not in remote:
                self._try(name)
        for thread in threads:
            thread.join()
        if len(self._errors) > 1 and all(isinstance(error, InputError) for error in self._errors.values()):
            raise InputError("; ".join(f"{name}: {error}" for name, error in self._errors.items()))
        for error in self._errors.values():
            raise error
        return {name: self._outcomes[name] for name in names}

    def _try(self, name: str) -> None:
        try:
            self._outcomes[name] = self._ask_one(name)
        except Exception as error:
            self._errors[name] = error
            logger.error("teacher %s ends with an error: %s", name, error)

    def _ask_one(self, name: str) -> tuple[list[RequestPlan], Outcome]:
        engine, teacher = self.engines[name], self.teachers[name]
        plans: list[RequestPlan] = []
        outcome = Outcome(0, 0, "")
        try:
            for plan in fixed_samples(self.problems, name, teacher, engine):
                plans.append(plan)
                outcome += ask_teacher(
                    name, teacher, plan, engine, self.store, self._run_id, budget=self.budget, check=self.check
                )
                if outcome.limit:
                    break
        finally:
            engine.close()
        return plans, outcome
