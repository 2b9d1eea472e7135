"""Asks teachers in rounds until problems have enough: asks as the planner says, judges the answers, and so on.

A killed run continues with the same plan: its rounds are planned again from their answers, which the store holds.
"""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np

from forkpipe.core.engine import Engine
from forkpipe.core.ids import content_hash
from forkpipe.core.progress import logger
from forkpipe.core.records import Problem
from forkpipe.core.rows import RejectedRow, TraceRow
from forkpipe.generation.asking import Outcome, ask_teacher
from forkpipe.generation.attempts import is_cut, latest
from forkpipe.generation.budget import Budget, price_of
from forkpipe.generation.clustering import strategy_models
from forkpipe.generation.collecting import as_counted
from forkpipe.generation.early import EarlyCheck
from forkpipe.generation.planner import Asked, Judged, Planner
from forkpipe.generation.requests import RequestPlan, counts_of, requests_of
from forkpipe.generation.selection import whole_text
from forkpipe.generation.teachers import AskedOf, ask_each
from forkpipe.parameters import GenerationSettings, ParallelSettings, StrategySettings, VerificationSettings
from forkpipe.stores import run_id
from forkpipe.stores.results import ResultStore
from forkpipe.stores.trace_store import TraceStore
from forkpipe.strategies.registry import create_clusterer
from forkpipe.verification.dispatch import ResponseRow
from forkpipe.verification.kept import verdicts_of
from forkpipe.verification.row_verifier import RowVerifier, unlimited

ROWS = 64
"""Responses that are verified together."""
COLUMNS = ("text", "reasoning", "status", "finish_reason", "tokens_in", "tokens_out")


class _Held(NamedTuple):
    """A correct trace whose text no earlier one of its problem has."""

    teacher: int
    key: int


class Judge:
    """Judges the answers of a round as the later nodes will, which find its results where it keeps them.

    The strategies of a problem are found anew whenever it has a new correct trace. What language models say about
    verdicts and strategies is asked again by the later nodes, unless their settings name a cache.

    Args:
        parallel: one process unless given.
        verdicts: store of kept verdicts; None keeps none.
        clusters: store of kept clusters and readings; None keeps none.
    """

    version = "1"

    def __init__(
        self,
        verification: VerificationSettings,
        strategies: StrategySettings,
        parallel: ParallelSettings | None = None,
        verdicts: ResultStore | None = None,
        clusters: ResultStore | None = None,
    ) -> None:
        self.verification = unlimited(verification)
        self._strategies = strategies
        self._parallel = parallel or ParallelSettings(workers=1)
        self._verdicts = verdicts
        self._clusters = clusters
        self.identity = content_hash(verification.decides, strategies.model_dump(mode="json"))
        """What the plan depends on, beside the teachers."""

    def correct(self, parts: Iterator[list[ResponseRow]]) -> Iterator[list[bool]]:
        """Yield which responses of each part are correct."""
        for verdicts in verdicts_of(parts, 0, self.verification, self._parallel, self._verdicts):
            yield [verdict["verdict"] == "correct" for verdict in verdicts]

    def strategies(self, problems: Iterator[tuple[str, list[str]]]) -> Iterator[tuple[list[int], int]]:
        """Yield (the strategy of each text, how many there are) of each problem with its correct texts."""
        from forkpipe.strategies.grouping import cluster_all
        from forkpipe.strategies.linkage import far_apart

        make = partial(create_clusterer, self._strategies)
        clusterer, kept = make(), self._clusters
        with strategy_models(self._strategies) as (summaries, judging), nullcontext() if kept is None else kept:
            for clusters, distances in cluster_all(
                clusterer, problems, summaries, judging,
                make=make, parallel=self._parallel, store=kept, options=self._strategies.options,
            ):  # fmt: skip
                representatives = clusters.representatives
                apart = (
                    representatives if distances is None else far_apart(distances, representatives, clusterer.threshold)  # type: ignore[attr-defined]
                )
                yield clusters.labels, len(apart)


@dataclass(eq=False)
class Rounds:
    """Asks teachers in rounds, which share one budget.

    Args:
        engines: by the names of the teachers. They are closed at the end, those with a model on this machine whenever
            another such model is needed.
        store: the trace store, open.
    """

    problems: Sequence[Problem]
    settings: GenerationSettings
    engines: Mapping[str, Engine]
    store: TraceStore
    budget: Budget
    check: EarlyCheck | None
    judge: Judge
    _names: list[str] = field(init=False)
    _held: list[list[_Held]] = field(init=False)
    _texts: list[set[str]] = field(init=False)

    def __post_init__(self) -> None:
        self._names = list(self.settings.asked)
        self._held = [[] for _ in self.problems]
        self._texts = [set() for _ in self.problems]

    def ask(self) -> tuple[AskedOf, list[RejectedRow]]:
        """Return (the rounds of each teacher and their outcome, rows of `rejected` for problems without enough traces).

        Raises:
            Exception: the error of a teacher, when the others have answered the round.
        """
        assert self.settings.target is not None
        plans: dict[str, list[RequestPlan]] = {name: [self._plan(name, [])] for name in self._names}
        outcomes = dict.fromkeys(self._names, Outcome(0, 0, ""))
        limit, number = "", 0
        try:
            planner = Planner([problem.problem_id for problem in self.problems], self._most(), self.settings.target)
            with RowVerifier(self.judge.verification) as verifier:
                golds = [verifier.gold_of(problem) for problem in self.problems]
            while not limit and (asked := planner.next_round()):
                number += 1
                logger.info("round %d: %s; %d requests", number, planner.described(), len(asked))
                parts: dict[str, list[Asked]] = defaultdict(list)
                for request in asked:
                    parts[self._names[request.teacher]].append(request)
                came = self._ask_round(parts, number)
                for name, (plan, outcome) in came.items():
                    plans[name].append(plan)
                    outcomes[name] += outcome
                    limit = limit or outcome.limit
                if not limit or self.settings.limits.partial:  # else the run ends here, and judging is for nothing
                    judged = self._judged(parts, {name: plan for name, (plan, _) in came.items()}, golds)
                    planner.observe(judged, self._strategies({it.problem for it in judged if it.fresh}))
        finally:
            for engine in self.engines.values():
                engine.close()
        logger.info("after %d rounds: %s", number, planner.described())
        return {name: (plans[name], outcomes[name]) for name in self._names}, _rejected(planner, limit)

    def _most(self) -> np.ndarray:
        counts = [
            counts_of(self.problems, name, teacher, self.engines[name]) for name, teacher in self.settings.asked.items()
        ]
        return np.stack(counts, axis=1)

    def _plan(self, name: str, asked: Sequence[Asked]) -> RequestPlan:
        which = np.array([request.problem for request in asked], np.int32)
        samples = np.array([request.sample for request in asked], np.int32)
        return requests_of(self.problems, which, samples, name, self.settings.asked[name], self.engines[name])

    def _ask_round(self, parts: Mapping[str, Sequence[Asked]], number: int) -> dict[str, tuple[RequestPlan, Outcome]]:
        models = [name for name in self._names if _holds_model(self.engines[name])]
        # Begin with the model that is loaded: the last one of the round before.
        names = [name for name in self._names[:: 1 if number % 2 else -1] if name in parts]

        def ask(name: str) -> tuple[RequestPlan, Outcome]:
            if name in models:
                for other in models:
                    if other != name:
                        self.engines[other].close()
            plan = self._plan(name, parts[name])
            outcome = ask_teacher(
                name, self.settings.asked[name], plan, self.engines[name], self.store, run_id.current(),
                budget=self.budget, check=self.check,
            )  # fmt: skip
            return plan, outcome

        came = ask_each(names, self.engines, ask)
        return {name: came[name] for name in self._names if name in came}

    def _judged(
        self, parts: Mapping[str, Sequence[Asked]], plans: Mapping[str, RequestPlan], golds: Sequence[str]
    ) -> list[Judged]:
        """Return what the answers of a round are worth, in the order of teachers and requests."""
        priced = all(teacher.price is not None for teacher in self.settings.asked.values())
        judged: list[Judged] = []
        waiting: deque[list[tuple[Asked, int, TraceRow]]] = deque()

        def responses() -> Iterator[list[ResponseRow]]:
            for part in self._answered(parts, plans):
                waiting.append(part)
                yield [
                    ResponseRow(
                        self.problems[request.problem].answer_type, golds[request.problem],
                        row["text"], row["status"], row["finish_reason"],
                    )
                    for request, _, row in part
                ]  # fmt: skip

        for verdicts in self.judge.correct(responses()):
            for (request, key, row), correct in zip(waiting.popleft(), verdicts, strict=True):
                fresh = correct and self._is_new(request.problem, request.teacher, key, whole_text(row))
                teacher = self.settings.asked[self._names[request.teacher]]
                cost = price_of(teacher, row["tokens_in"], row["tokens_out"]) if priced else None
                judged.append(Judged(request.problem, request.teacher, correct, fresh, 1.0 if cost is None else cost))
        return judged

    def _answered(
        self, parts: Mapping[str, Sequence[Asked]], plans: Mapping[str, RequestPlan]
    ) -> Iterator[list[tuple[Asked, int, TraceRow]]]:
        """Yield (request, its key, its answer) of a round, some at a time: all, unless a limit ended the round."""
        index = self.store.index()
        for name in [name for name in self._names if name in plans]:
            limit, keys = self.settings.asked[name].sampling.max_tokens, plans[name].keys
            entry = latest(index, keys, limit).entry
            answered = np.flatnonzero(entry >= 0)
            entries, at = index.take(entry[answered]), 0
            for table in as_counted(self.store, entries, is_cut(entries, limit), COLUMNS):
                rows: list[TraceRow] = table.to_pylist()
                positions = answered[at : at + len(rows)].tolist()
                at += len(rows)
                came = [(parts[name][it], int(keys[it]), row) for it, row in zip(positions, rows, strict=True)]
                for start in range(0, len(came), ROWS):
                    yield came[start : start + ROWS]

    def _is_new(self, problem: int, teacher: int, key: int, text: str) -> bool:
        """Note a correct text unless the problem has one that is equal up to white space; return whether it has not."""
        hashed = content_hash(" ".join(text.split()))
        if hashed in self._texts[problem]:
            return False
        self._texts[problem].add(hashed)
        self._held[problem].append(_Held(teacher, key))
        return True

    def _strategies(self, changed: set[int]) -> dict[int, tuple[list[tuple[int, int]], int]]:
        """Return, as `Planner.observe` takes them, the strategies of problems with new correct traces."""
        assert self.settings.target is not None
        order = sorted(changed)
        members = {at: [held.teacher for held in self._held[at]] for at in order}
        if self.settings.target.distinct == 1:
            return {at: ([(teacher, 0) for teacher in members[at]], 1) for at in order}
        groups = ((self.problems[at].problem, texts) for at, texts in zip(order, self._read(order), strict=True))
        return {
            at: (list(zip(members[at], labels, strict=True)), distinct)
            for at, (labels, distinct) in zip(order, self.judge.strategies(groups), strict=True)
        }

    def _read(self, order: Sequence[int]) -> Iterator[list[str]]:
        """Yield the correct texts of each problem, of which a few are in memory at a time."""
        held = [it for at in order for it in self._held[at]]
        keys = np.fromiter((it.key for it in held), np.uint64, len(held))
        teachers = np.fromiter((it.teacher for it in held), np.int64, len(held))
        index = self.store.index()
        entry = np.zeros(len(held), np.int64)
        for number, name in enumerate(self._names):
            mine = teachers == number
            entry[mine] = latest(index, keys[mine], self.settings.asked[name].sampling.max_tokens).entry
        if (entry < 0).any():
            raise RuntimeError("a trace that was judged is not in the store")
        tables = self.store.tables(index.take(entry), ["text", "reasoning"])
        texts = (whole_text(row) for table in tables for row in table.to_pylist())
        for at in order:
            yield list(islice(texts, len(self._held[at])))


def _holds_model(engine: Engine) -> bool:
    return getattr(engine, "holds_model", True) and not getattr(engine, "at_servers", False)


def _rejected(planner: Planner, limit: str) -> list[RejectedRow]:
    rows = planner.rejected() + (planner.unfinished(f"the run ended: {limit}") if limit else [])
    return [{"stage": "generation", "id": name, "reason": reason, "detail": detail} for name, reason, detail in rows]
