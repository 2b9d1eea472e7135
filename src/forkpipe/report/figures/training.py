"""Losses, reward and entropies during training."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from forkpipe.evaluation.samples import by_method, method_order
from forkpipe.report.figures.base import Figure
from forkpipe.report.findings import phases_without_signal
from forkpipe.report.style import Drawing, colour_of, finish, nothing, panels, translucent

MEASURES = {
    "trace loss": "nats a token of traces",
    "tag loss": "nats a token of tags",
    "loss": "nats a token",
    "loss on validation": "nats a token",
    "reward": "mean reward",
    "groups skipped": "share of groups",
    "entropy of tags": "nats",
    "entropy of tokens": "nats a token",
}
"""Title -> axis, in the order of the panels."""

PER_LINE = 3
SHARES = ("reward", "groups skipped")


def draw(training_logs: pa.Table) -> Drawing:
    """Show losses of supervised methods; reward, skipped groups and entropies of those trained by reinforcement."""
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {name: defaultdict(list) for name in MEASURES}
    tables = by_method(training_logs)
    for method in method_order(tables):
        rows = sorted(tables[method].drop_columns("tag_usage").to_pylist(), key=lambda row: row["step"])
        reinforced = any(row["phase"] is not None or row["reward"] is not None for row in rows)
        for row in rows:
            for name, value in _reinforced(row) if reinforced else _supervised(row):
                if value is not None:
                    curves[name][method].append((row["step"], value))
    used = [name for name in MEASURES if curves[name]]
    if not used:
        return nothing("No training was logged.")
    columns = min(PER_LINE, len(used))
    lines = -(-len(used) // columns)
    figure = panels(
        lines, columns, horizontal_spacing=0.09, vertical_spacing=0.3 / lines,
        subplot_titles=[name.capitalize() for name in used],
    )  # fmt: skip
    seen: set[str] = set()
    for at, name in enumerate(used):
        place: dict[str, Any] = {"row": 1 + at // columns, "col": 1 + at % columns}
        for method, points in curves[name].items():
            steps, values = ([*part] for part in zip(*points, strict=True))
            colour = colour_of(method)
            shared: dict[str, Any] = {
                "x": steps, "mode": "lines" if len(steps) > 1 else "markers", "legendgroup": method, **place,
            }  # fmt: skip
            faint, line = {"color": translucent(colour, 0.25), "width": 1}, {"color": colour, "width": 2.5}
            figure.add_scatter(**shared, y=values, line=faint, marker_color=colour, showlegend=False, hoverinfo="skip")
            figure.add_scatter(
                **shared, y=_running_mean(values), line=line, marker_color=colour, name=method,
                showlegend=method not in seen,
            )  # fmt: skip
            seen.add(method)
        last = max(step for points in curves[name].values() for step, _ in points)
        ticks = {"dtick": 1} if last <= 6 else {"nticks": 6, "tickformat": "~s"}
        figure.update_xaxes(title={"text": "step", "standoff": 4}, rangemode="tozero", **ticks, **place)
        figure.update_yaxes(title_text=MEASURES[name], **place)
        if name.startswith("entropy"):
            figure.update_yaxes(rangemode="tozero", **place)
        if name in SHARES:
            figure.update_yaxes(range=[-0.03, 1.03], tickformat=".0%", **place)
    silent = [f"{method}, phase {phase}" for method, phase in phases_without_signal(training_logs)]
    if silent and "groups skipped" in used:
        at = used.index("groups skipped")
        figure.add_annotation(
            text="all groups skipped:<br>" + "<br>".join(silent), x=0.5, y=0.5, showarrow=False, font={"size": 11},
            bgcolor="rgba(255,255,255,.85)", xref="x domain", yref="y domain",
            row=1 + at // columns, col=1 + at % columns,
        )  # fmt: skip
    return finish(figure, 60 + 270 * lines).update_layout(legend={"y": 1 + 26 / (270 * lines)})


def _supervised(row: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    if row["trace_loss"] is None:
        yield "loss", row["loss"]
    else:
        yield "trace loss", row["trace_loss"]
        yield "tag loss", row["tag_loss"]
    yield "loss on validation", row["eval_loss"]


def _reinforced(row: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """Yield what a step of reinforcement learning logs, but not its loss, which is about 0 whatever is learned."""
    yield "reward", row["reward"]
    if row.get("groups"):
        yield "groups skipped", row["groups_skipped"] / row["groups"]
    # A phase that trains no token of a completion trains the choice of the tag, so that is what its entropy is about.
    yield "entropy of tokens" if row["tokens"] else "entropy of tags", row["entropy"]


def _running_mean(values: Sequence[float]) -> list[float]:
    """Smooth with a centred window of a twentieth of the curve, cut off at its ends."""
    half = len(values) // 40
    return [float(np.mean(values[max(0, i - half) : i + half + 1])) for i in range(len(values))]


FIGURE = Figure(
    "Training",
    "Supervised methods: the loss of traces and the loss of the tag's own tokens (their sum, the tag's loss times its "
    "weight, is what is minimised). Reinforcement learning: mean reward; groups of rollouts skipped because all of "
    "their rewards are equal, so that nothing can be learned from them; entropy of the choice of the tag, and entropy "
    "of the tokens of completions. Thin lines are single steps, thick lines a running mean.",
    draw,
)
