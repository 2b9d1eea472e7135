"""How the matching of traces to tags develops during training."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from forkpipe.evaluation.samples import by_method, method_order
from forkpipe.evaluation.tag_information import TENTHS
from forkpipe.parameters.methods import MATCHED
from forkpipe.report.figures.base import Figure
from forkpipe.report.style import NEUTRAL, Drawing, colour_of, finish, nothing, panels


def draw(tag_information: Mapping[str, Any], matchings: pa.Table) -> Drawing:
    """Show how matching settles: mutual information of tag and strategy, and the margin, by tenth of training."""
    tables = {method: table for method, table in by_method(matchings).items() if method in MATCHED}
    if not tables:
        return nothing("No method was trained with tags.")
    titles = ["Do tags and strategies go together?", "How clear is the choice of tags?"]
    figure = panels(1, 2, horizontal_spacing=0.11, subplot_titles=titles)
    for method in method_order(tables):
        line = {"color": colour_of(method), "width": 2.5}
        points = tag_information["matching"][method]["over_training"]
        done = [point["tenth"] / TENTHS for point in points]
        shared: dict[str, Any] = {
            "x": done,
            "legendgroup": method,
            "mode": "lines+markers",
            "line": line,
            "name": method,
        }
        figure.add_scatter(**shared, y=[point["mutual_information_bits"] for point in points], row=1, col=1)
        figure.add_scatter(
            x=done,
            y=[point["chance_bits"] for point in points],
            mode="lines",
            line={"color": colour_of(method), "width": 1.5, "dash": "dot"},
            name=f"{method}, by chance",
            legendgroup=method,
            row=1,
            col=1,
        )
        for name, dash in (("margin", "solid"), ("margin_noise", "dot")):
            medians = _medians(tables[method], name)
            figure.add_scatter(
                x=[tenth / TENTHS for tenth in medians],
                y=list(medians.values()),
                mode="lines+markers" if dash == "solid" else "lines",
                line=line | {"dash": dash},
                name=method if dash == "solid" else f"{method}, noise of its costs",
                legendgroup=method,
                showlegend=dash != "solid" and bool(medians),
                row=1,
                col=2,
            )
    tags = max(len(found["tags"]) for found in tag_information["matching"].values())
    most = float(np.log2(max(2, min(tags, len(tag_information["labels"])))))
    figure.add_hline(
        y=most, line={"color": NEUTRAL, "width": 1}, annotation_text=f"most that is possible: {most:.2f} bits",
        annotation_position="top left", row=1, col=1,
    )  # fmt: skip
    figure.update_xaxes(title_text="share of training done", tickformat=".0%", range=[0, 1.03])
    figure.update_yaxes(title_text="mutual information (bits)", range=[0, 1.14 * most], row=1, col=1)
    figure.update_yaxes(title_text="margin (nats a token)", rangemode="tozero", row=1, col=2)
    return finish(figure, 400)


def _medians(matching: pa.Table, column: str) -> dict[int, float]:
    """Return the median of a column in nats a token by tenth of training, from 1; tables may lack the column."""
    if column not in matching.column_names:
        return {}
    rows = matching.select(["step", column]).to_pylist()
    steps = 1 + max((row["step"] for row in rows), default=0)
    values: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        if row[column] is not None:
            values[1 + row["step"] * TENTHS // steps].append(row[column])
    return {tenth: float(np.median(values[tenth])) for tenth in sorted(values)}


FIGURE = Figure(
    "Matching during training",
    "Left: mutual information of a trace's tag and its strategy in each tenth of training; 0 means that "
    "the tag says nothing about the strategy, and the dotted line is what independent tags would show by "
    "chance. Right: by how much the chosen assignment of tags beats the next best (median); higher is clearer. A "
    "dotted line is the numerical noise of the costs: margins below it are drawn by chance.",
    draw,
)
