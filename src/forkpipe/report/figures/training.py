"""Loss, reward and entropy during training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from forkpipe.evaluation.samples import by_method, method_order
from forkpipe.report.figures.base import Figure
from forkpipe.report.style import Drawing, colour_of, finish, nothing, panels, translucent


def draw(training_logs: pa.Table) -> Drawing:
    """Show the loss of supervised methods, and reward and entropy of those trained by reinforcement learning."""
    measures = (("loss", "loss (nats a token)"), ("reward", "mean reward"), ("entropy", "entropy (nats)"))
    curves: dict[str, dict[str, tuple[list[int], list[float]]]] = {name: {} for name, _ in measures}
    tables = by_method(training_logs)
    for method in method_order(tables):
        rows = tables[method].select(["step", "loss", "reward", "entropy"]).to_pylist()
        rewarded = any(row["reward"] is not None for row in rows)
        # A policy-gradient loss is 0 on average whatever is learned, so it would only mislead.
        for name in ("reward", "entropy") if rewarded else ("loss",):
            points = sorted((row["step"], row[name]) for row in rows if row[name] is not None)
            if points:
                curves[name][method] = ([step for step, _ in points], [value for _, value in points])
    used = [(name, title) for name, title in measures if curves[name]]
    if not used:
        return nothing("No training was logged.")
    figure = panels(1, len(used), horizontal_spacing=0.09, subplot_titles=[n.capitalize() for n, _ in used])
    seen: set[str] = set()
    for column, (name, title) in enumerate(used, start=1):
        for method, (steps, values) in curves[name].items():
            colour = colour_of(method)
            shared: dict[str, Any] = {"x": steps, "mode": "lines", "legendgroup": method}
            faint = {"color": translucent(colour, 0.25), "width": 1}
            figure.add_scatter(**shared, y=values, line=faint, showlegend=False, hoverinfo="skip", row=1, col=column)
            line, first = {"color": colour, "width": 2.5}, method not in seen
            smooth = _running_mean(values)
            figure.add_scatter(**shared, y=smooth, line=line, name=method, showlegend=first, row=1, col=column)
            seen.add(method)
        figure.update_xaxes(title_text="step", rangemode="tozero", row=1, col=column)
        figure.update_yaxes(title_text=title, row=1, col=column)
    return finish(figure, 380)


def _running_mean(values: Sequence[float]) -> list[float]:
    """Smooth with a centred window of a twentieth of the curve, cut off at its ends."""
    half = len(values) // 40
    return [float(np.mean(values[max(0, i - half) : i + half + 1])) for i in range(len(values))]


FIGURE = Figure(
    "Training",
    "Loss of the supervised methods; mean reward and entropy of those trained by reinforcement learning. "
    "Thin lines are single steps, thick lines a running mean.",
    draw,
)
