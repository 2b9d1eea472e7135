"""Selects the trace sets of all problems: each problem by itself, over all cores, with few texts in memory.

First the traces of each set are chosen, of which only names are held. Then the sets are written while the texts are
read once more.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from forkpipe.core.progress import logger
from forkpipe.core.rows import ProblemRow, RejectedRow, TraceSetRow
from forkpipe.generation.selection import select_sets, whole_text
from forkpipe.generation.set_totals import SetTotals, compared, described, other_of, other_rule
from forkpipe.models.student import Student, student_of
from forkpipe.parallel.mapped import mapped
from forkpipe.parameters import GenerationSettings, ModelSettings, ParallelSettings, TraceSetSettings
from forkpipe.stores import run_id
from forkpipe.stores.groups import Groups
from forkpipe.stores.tables import Batches, Rows, to_table

TEXTS = ("trace_id", "teacher", "text", "reasoning", "tokens_out")
STRATEGIES = ("trace_id", "strategy", "representative", "distance", "distances", "distances_to_earlier")
SAVED_BYTES = 32 << 20
"""Characters of texts that are saved at a time."""
_CHOSEN = pa.schema(
    {"problem": pa.int64(), "strategies": pa.int64(), "traces": pa.list_(pa.string()), "of": pa.list_(pa.int64())}
)


class Solved(NamedTuple):
    """A problem with its traces and the strategies of those that are correct."""

    problem: ProblemRow
    traces: Sequence[Any]
    strategies: Sequence[Any]


class Selection(NamedTuple):
    """What was selected of a problem: sets without texts, rows of `rejected`, and the sets of the other rule."""

    sets: list[TraceSetRow]
    rejected: list[RejectedRow]
    other: list[TraceSetRow]


class Selecting:
    """Selects the trace sets of one problem, in whatever process.

    Args:
        settings, seed: see `selection.select_sets`.
        model: the model that will be trained.
    """

    def __init__(self, settings: TraceSetSettings, seed: int, model: ModelSettings) -> None:
        self._made_of = settings, seed, model
        self._student: Student | None = None

    def __call__(self, solved: Solved) -> Selection:
        """Return what is selected of a problem."""
        settings, seed, model = self._made_of
        if self._student is None:
            self._student = student_of(model)
        tables = [solved.problem], solved.traces, solved.strategies
        sets, rejected = select_sets(*tables, settings, seed, self._student)
        other, _ = select_sets(*tables, other_rule(settings), seed, self._student)
        return Selection(_without_texts(sets), rejected, _without_texts(other))

    def __reduce__(self) -> tuple[Any, ...]:
        return Selecting, self._made_of


def _without_texts(sets: list[TraceSetRow]) -> list[TraceSetRow]:
    return [{**row, "traces": [{**trace, "text": ""} for trace in row["traces"]]} for row in sets]


def build_trace_sets(
    problems: Any,
    traces: Any,
    strategies: Any,
    settings: TraceSetSettings,
    generation: GenerationSettings,
    model: ModelSettings,
    seed: int,
    parallel: ParallelSettings | None = None,
) -> tuple[Batches, Batches, dict[str, Any]]:
    """Select the trace sets of the problems that teachers were asked.

    Args:
        problems, traces, strategies: tables, in memory or stored.
        settings, seed: see `selection.select_sets`.
        generation: says which problems were asked.
        model: the model that will be trained.
        parallel: one process unless given.

    Returns:
        The table `trace_sets`, rows of `rejected`, and `trace_set_totals`.

    Raises:
        InputError: as `selection.select_sets`.
    """
    asked = [row for row in problems.to_pylist() if row["split"] in generation.splits]
    columns = [name for name in STRATEGIES if name in strategies.column_names]
    of_traces, of_strategies = Groups(traces, TEXTS), Groups(strategies, columns)
    solved = (Solved(problem, *_of_problem(problem["problem_id"], of_traces, of_strategies)) for problem in asked)
    chosen = _Chosen()
    rejected, reasons = Rows("rejected"), Counter[str]()
    used, other = SetTotals(), SetTotals()
    for place, selection in enumerate(
        mapped(Selecting(settings, seed, model), solved, parallel or ParallelSettings(workers=1))
    ):
        chosen.add(place, selection.sets)
        rejected.add(selection.rejected)
        reasons.update(row["reason"] for row in selection.rejected)
        used.add(selection.sets)
        other.add(selection.other)
    totals = used.row()
    logger.log(
        logging.INFO if totals["sets"] else logging.WARNING,
        "trace_sets.select %s: %s; left out: %s",
        settings.select,
        described(totals),
        ", ".join(f"{n} {reason}" for reason, n in reasons.items()) or "none",
    )
    both = compared(settings, len(asked), used, other)
    logger.info("%s", other_of(both))
    return Batches(lambda: _filled(chosen, asked, traces)), rejected.batches(), both


def _of_problem(problem_id: str, traces: Groups, strategies: Groups) -> tuple[list[Any], list[Any]]:
    correct = strategies.of(problem_id)
    names = {row["trace_id"] for row in correct}
    return [row for row in traces.of(problem_id) if row["trace_id"] in names] if correct else [], correct


class _Chosen:
    """The names of the traces of each set, as Arrow holds them."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []
        self._open: list[dict[str, Any]] = []

    def add(self, place: int, sets: Sequence[TraceSetRow]) -> None:
        """Add the sets of the problem at a place."""
        self._open += [
            {
                "problem": place,
                "strategies": row["strategies"],
                "traces": [trace["trace_id"] for trace in row["traces"]],
                "of": [trace["strategy"] for trace in row["traces"]],
            }
            for row in sets
        ]
        if len(self._open) >= 1024:
            self._close()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self._close()
        return (row for table in self._tables for row in table.to_pylist())

    def _close(self) -> None:
        self._tables.append(pa.Table.from_pylist(self._open, _CHOSEN))
        self._open = []


def _filled(chosen: _Chosen, problems: Sequence[ProblemRow], traces: Any) -> Iterator[pa.Table]:
    """Yield the table `trace_sets`: the chosen traces with their texts."""
    of_traces = Groups(traces, TEXTS)
    rows: list[Mapping[str, Any]] = []
    size = 0
    for chosen_set in chosen:
        problem = problems[chosen_set["problem"]]
        by_id = {row["trace_id"]: row for row in of_traces.of(problem["problem_id"])}
        members = [
            {
                "trace_id": name,
                "teacher": by_id[name]["teacher"],
                "text": whole_text(by_id[name]),
                "strategy": strategy,
                "tokens": by_id[name]["tokens_out"],
            }
            for name, strategy in zip(chosen_set["traces"], chosen_set["of"], strict=True)
        ]
        columns = {name: problem[name] for name in ("problem_id", "problem", "answer", "source", "split")}
        rows.append({**columns, "strategies": chosen_set["strategies"], "traces": members})
        size += sum(len(member["text"]) for member in members)
        if size >= SAVED_BYTES:
            yield to_table(rows, "trace_sets", run_id.current())
            rows, size = [], 0
    yield to_table(rows, "trace_sets", run_id.current())
