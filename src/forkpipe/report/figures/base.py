"""The type of a figure of the report."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from forkpipe.report.style import Drawing


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the report.

    title, caption: for a reader who has not seen the project before. draw: takes datasets, each by its name in the
    catalog, and returns the figure. optional: whether the report leaves it out where there is nothing to show, instead
    of saying so. all_seeds: whether it gets the rows of all training seeds; otherwise it gets the rows over all seeds
    of a table that has such rows, or those of the first seed.
    """

    title: str
    caption: str
    draw: Callable[..., Drawing]
    optional: bool = False
    all_seeds: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the datasets that the figure shows: the arguments of `draw`."""
        return tuple(inspect.signature(self.draw).parameters)


def batches(table: Any, *columns: str) -> Iterator[pa.RecordBatch]:
    """Yield some columns of a table, which is in memory, or stored and then read a part at a time."""
    stored = getattr(table, "batches", None)
    yield from table.select(list(columns)).to_batches() if stored is None else stored(list(columns))
