"""Finds rows of the store that the configuration no longer asks for: old prompts, removed teachers or problems."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forkpipe.core.records import Problem
from forkpipe.engines.registry import create_engines
from forkpipe.generation.attempts import is_among
from forkpipe.generation.requests import plan_requests
from forkpipe.parameters import GenerationSettings
from forkpipe.stores.trace_store import TraceStore


@dataclass(frozen=True, slots=True)
class Unasked:
    """The rows that a clean-up drops or would drop, by the name that the teacher had when it was asked."""

    rows_kept: int
    rows: dict[str, int]
    tokens: dict[str, int]
    bytes_before: int
    bytes_after: int | None
    """None if nothing was dropped."""


def asked_keys(problems: Sequence[Problem], settings: GenerationSettings) -> np.ndarray:
    """Return the keys of all requests that the configuration asks for."""
    keys = [np.zeros(0, np.uint64)]
    engines = create_engines(settings.asked)
    chosen = [problem for problem in problems if problem.split in settings.splits]
    for name, engine in engines.items():
        try:
            keys.append(plan_requests(chosen, name, settings.teachers[name], engine).keys)
        finally:
            engine.close()
    return np.concatenate(keys)


def clean(store: TraceStore, keys: np.ndarray, *, delete: bool) -> Unasked:
    """Count the rows of requests that are not among `keys`, and drop them if `delete` is set."""
    rows: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    with store:
        index = store.index()
        unasked = index.take(~is_among(index.key, keys))
        before = store.size()
        for table in store.tables(unasked, columns=["teacher", "tokens_out"]):
            summed = table.group_by("teacher").aggregate([("tokens_out", "count"), ("tokens_out", "sum")])
            for teacher, n, out in zip(*(summed[name].to_pylist() for name in summed.column_names), strict=True):
                rows[teacher] += n
                tokens[teacher] += out
        if delete and len(unasked):
            store.drop(unasked)
        after = store.size() if delete else None
    return Unasked(len(index) - len(unasked), dict(rows), dict(tokens), before, after)
