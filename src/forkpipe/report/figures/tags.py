"""Accuracy, length and strategies under each forced tag."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from forkpipe.evaluation.samples import method_order
from forkpipe.report.figures.base import Figure
from forkpipe.report.style import COLOUR_SCALE, Drawing, colour_of, finish, nothing, panels


def draw(scores: pa.Table, tag_information: Mapping[str, Any]) -> Drawing:
    """Show accuracy, length and strategies by tag on test, one column a method with several tags."""
    by_tag: dict[str, dict[int, list[tuple[bool, int]]]] = {}
    for row in scores.select(["method", "split", "policy", "tag", "verdict", "tokens"]).to_pylist():
        if row["split"] == "test" and row["policy"] == "by_tag" and row["tag"] >= 0:
            tags = by_tag.setdefault(row["method"], {})
            tags.setdefault(row["tag"], []).append((row["verdict"] == "correct", row["tokens"]))
    methods = method_order(by_tag)
    if not methods:
        return nothing("No method with several tags was evaluated.")
    labels = tag_information["labels"]
    told = [method for method in methods if method in tag_information["generations"]]
    heights = [0.27, 0.27, 0.46] if told else [0.5, 0.5]
    figure = panels(
        len(heights), len(methods), shared_yaxes="rows", shared_xaxes=True, row_heights=heights,
        vertical_spacing=0.06, horizontal_spacing=0.03, column_titles=methods,
    )  # fmt: skip
    for column, method in enumerate(methods, start=1):
        used = sorted(by_tag[method])
        names = [str(tag + 1) for tag in used]
        for panel, (part, form) in enumerate(((0, ".0%"), (1, ".0f")), start=1):
            means = [float(np.mean([sample[part] for sample in by_tag[method][tag]])) for tag in used]
            bars: dict[str, Any] = {"x": names, "y": means, "marker_color": colour_of(method), "showlegend": False}
            figure.add_bar(**bars, texttemplate=f"%{{y:{form}}}", textposition="auto", row=panel, col=column)
        if method in told:
            counts = np.asarray(tag_information["generations"][method]["counts"], dtype=float)
            shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
            figure.add_heatmap(
                z=shares.T, x=[str(tag + 1) for tag in range(len(counts))], y=labels, zmin=0, zmax=1,
                coloraxis="coloraxis", texttemplate="%{z:.0%}", xgap=1, ygap=1,
                hovertemplate="tag %{x}, %{y}: %{z:.1%}<extra></extra>", row=3, col=column,
            )  # fmt: skip
        figure.update_xaxes(title_text="tag", row=len(heights), col=column)
    figure.update_xaxes(type="category")
    figure.update_yaxes(title_text="accuracy", tickformat=".0%", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text="length (tokens)", rangemode="tozero", row=2, col=1)
    if told:
        figure.update_yaxes(title={"text": "strategy", "standoff": 8}, automargin=True, row=3, col=1)
        figure.update_yaxes(autorange="reversed", showgrid=False, ticks="", row=3)
    # Room for the strategies' names, however long they are, with the title clear of them.
    left = max(70, 40 + 7 * max(map(len, labels), default=0)) if told else 70
    figure.update_layout(coloraxis={"colorscale": COLOUR_SCALE, "cmin": 0, "cmax": 1, "showscale": False})
    return finish(figure, 360 + (120 + 30 * len(labels) if told else 0)).update_layout(margin={"l": left, "t": 36})


FIGURE = Figure(
    "What each tag came to do",
    "Test samples under each forced tag (numbered from 1, as tags are written): accuracy, mean length, "
    "and the share of texts in each strategy as told by the labeler described below. If tags mean "
    "something, columns differ; under random assignment they should not.",
    draw,
)
