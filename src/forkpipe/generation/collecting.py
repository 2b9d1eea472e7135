"""Collects the table of traces from the store, and reports what each teacher cost and gave."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa

from forkpipe.core.errors import InputError
from forkpipe.core.progress import logger
from forkpipe.core.rows import GenerationReportRow
from forkpipe.generation.asking import Outcome
from forkpipe.generation.attempts import is_cut, latest, totals
from forkpipe.generation.budget import price_of
from forkpipe.generation.requests import RequestPlan
from forkpipe.parameters import GenerationSettings, LimitSettings, TeacherSettings
from forkpipe.stores.groups import Joined, source_of
from forkpipe.stores.tables import Batches
from forkpipe.stores.trace_store import TraceStore
from forkpipe.stores.trace_store.index import Index


def stop_or_warn(outcomes: Mapping[str, Outcome], limits: LimitSettings) -> None:
    """Warn about requests that a limit has left unasked; InputError unless `limits.partial` allows such traces."""
    left = {name: outcome.to_send - outcome.answered for name, outcome in outcomes.items() if outcome.limit}
    if not left:
        return
    limit = next(outcome.limit for outcome in outcomes.values() if outcome.limit)
    listed = ", ".join(f"{name} {n}" for name, n in left.items())
    summary = f"{limit}: {sum(left.values())} requests are not asked ({listed})"
    if not limits.partial:
        raise InputError(
            f"{summary}; what was answered is kept, the same command goes on from here; "
            "generation.limits.partial: true goes on with the traces there are"
        )
    logger.warning("%s; going on with the traces there are (generation.limits.partial)", summary)


def collect(
    store: TraceStore,
    asked: Mapping[str, Sequence[RequestPlan]],
    teachers: Mapping[str, TeacherSettings],
    outcomes: Mapping[str, Outcome],
    problems: Iterable[str] = (),
) -> tuple[Batches, dict[str, Any]]:
    """Return (the table of traces; counts over the requests of each teacher).

    The rows of a problem are neighbours, in the order of teachers and requests, so that the stages after it need not
    hold the table.

    Args:
        problems: ids of the problems, in the order in which they shall come; others come after them.
    """
    index = store.index()
    parts: list[Index] = []
    limits: list[np.ndarray] = []
    places: list[np.ndarray] = []
    place_of = {name: place for place, name in enumerate(problems)}
    counted: dict[str, Any] = {}
    for name, plans in asked.items():
        limit = teachers[name].sampling.max_tokens
        keys = np.concatenate([plan.keys for plan in plans])
        newest = latest(index, keys, limit)
        answered = newest.entry >= 0
        parts.append(index.take(newest.entry[answered]))
        limits.append(np.full(len(parts[-1]), limit, np.int64))
        places.append(np.concatenate([_places(plan, place_of) for plan in plans])[answered])
        counted[name] = {"asked": outcomes[name].answered, **totals(index, keys, newest, store.kinds, limit)}
        summary = counted[name]
        logger.info(
            "teacher %s: %d requests, %d asked now, %d failed, %d truncated, %d not asked",
            name, summary["requests"], summary["asked"], summary["failed"], summary["truncated"], summary["not_asked"],
        )  # fmt: skip
        if summary["failed_for_now"]:
            logger.warning("teacher %s: the next run asks %d failed requests again", name, summary["failed_for_now"])
    order = np.argsort(np.concatenate(places), kind="stable")
    entries = Index.concatenated(parts).take(order)
    cut = is_cut(entries, np.concatenate(limits)[order])

    return Batches(lambda: as_counted(store, entries, cut)), counted


def as_counted(
    store: TraceStore, entries: Index, cut: np.ndarray, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """Yield the rows of entries, in order; those that `cut` marks, see `attempts.is_cut`, count as truncated."""
    done = 0
    for table in store.tables(entries, columns):
        yield _truncated(table, cut[done : done + len(table)])
        done += len(table)


def _places(plan: RequestPlan, place_of: dict[str, int]) -> np.ndarray:
    """Return the place of each request's problem; problems that have none yet get the next ones."""
    own = [place_of.setdefault(name, len(place_of)) for name in plan.problems]
    return np.array(own, np.int64)[plan.problem_of] if own else np.zeros(0, np.int64)


def _truncated(table: pa.Table, cut: np.ndarray) -> pa.Table:
    """Return the rows with those that are cut, see `attempts.is_cut`, as truncated."""
    if not cut.any():
        return table
    column = table.schema.get_field_index("finish_reason")
    import pyarrow.compute as pc  # slow to import, so only where it is used

    reasons = pc.if_else(pa.array(cut), "length", table.column(column))
    return table.set_column(column, table.schema.field(column), reasons)


def report_generation(
    totals: Mapping[str, Any], traces: Any, verdicts: Any, trace_sets: Any, settings: GenerationSettings
) -> list[GenerationReportRow]:
    """Return a row for each teacher: what it was asked, what that cost, and how many of its traces were kept."""
    correct: Counter[str] = Counter()
    for batch in Joined(traces, verdicts, "trace_id", ["verdict"], "verdicts").batches(["teacher", "verdict"]):
        pairs = zip(batch.column("teacher").to_pylist(), batch.column("verdict").to_pylist(), strict=True)
        correct.update(teacher for teacher, verdict in pairs if verdict == "correct")
    kept: Counter[str] = Counter()
    for batch in source_of(trace_sets).batches(["traces"]):
        kept.update(batch.column("traces").flatten().field("teacher").to_pylist())
    rows: list[GenerationReportRow] = []
    for name, counted in totals.items():
        price = price_of(settings.teachers[name], counted["tokens_in"], counted["tokens_out"])
        row = {
            "teacher": name,
            **{column: value for column, value in counted.items() if column != "failed_for_now"},
            "errors": json.dumps(counted["errors"]),
            "correct": correct[name],
            "kept": kept[name],
            "tokens_per_kept": counted["tokens_out"] / kept[name] if kept[name] else None,
            "price": price,
            "price_per_kept": price / kept[name] if kept[name] and price is not None else None,
        }
        rows.append(cast(GenerationReportRow, row))
        logger.info("%s", _summary(rows[-1]))
    return rows


def _summary(row: GenerationReportRow) -> str:
    text = f"teacher {row['teacher']}: {row['requests']} requests, {row['correct']} correct, {row['kept']} kept"
    if row["kept"]:
        text += f", {row['tokens_per_kept']:.0f} tokens a kept trace"
    if row["price"] is not None:
        text += f", price {row['price']:.4g}"
    if row["price_per_kept"] is not None:
        text += f", {row['price_per_kept']:.4g} a kept trace"
    return text
