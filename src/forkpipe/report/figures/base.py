"""The type of a figure of the report."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the report.

    title, caption: for a reader who has not seen the project before. draw: takes tables by the names of their datasets
    and returns the figure; `scores`, `training_log` and `matching` are the tables of these names by method.
    """

    title: str
    caption: str
    draw: Callable[..., "go.Figure"]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the datasets that the figure shows: the arguments of `draw`."""
        return tuple(inspect.signature(self.draw).parameters)
