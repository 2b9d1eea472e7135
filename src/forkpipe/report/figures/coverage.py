"""Which traces each tag was matched with at the end of training: what it covers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from forkpipe.evaluation.samples import by_method, covering_tags, method_order
from forkpipe.evaluation.tag_information import last_matchings
from forkpipe.parameters.methods import TAGGED
from forkpipe.report.figures.base import Figure
from forkpipe.report.figures.tags import TAGS_A_LINE, shares_by_tag
from forkpipe.report.style import (
    COLOUR_SCALE,
    Drawing,
    blocks,
    colour_of,
    name_axis,
    nothing,
    number_axis,
    translucent,
)


def draw(tag_information: Mapping[str, Any], matchings: pa.Table) -> Drawing:
    """Show how many traces of how many teachers each tag was matched with, one block a method trained with tags."""
    tables = {method: table for method, table in by_method(matchings).items() if method in TAGGED}
    methods = [method for method in method_order(tables) if method in tag_information["matching"]]
    if not methods:
        return nothing("No method was trained with tags.")
    labels, chosen = tag_information["labels"], covering_tags(matchings)
    n = max(len(tag_information["matching"][method]["tags"]) for method in methods)
    figure, place = blocks(methods, [110, 40 * len(labels)], TAGS_A_LINE // n)
    highest = max(sum(row) for method in methods for row in tag_information["matching"][method]["counts"])
    for block, method in enumerate(methods):
        counts = np.asarray(tag_information["matching"][method]["counts"])
        teachers: list[set[str]] = [set() for _ in range(n)]
        for row in last_matchings(tables[method].to_pylist()):
            teachers[row["tag"]].add(row["teacher"])
        most = len(set().union(*teachers))
        bars, cells = place(block, 0), place(block, 1)
        colour = colour_of(method)
        figure.add_bar(
            x=[str(tag + 1) for tag in range(len(counts))], y=counts.sum(axis=1), showlegend=False,
            marker_color=[colour if tag == chosen.get(method) else translucent(colour, 0.45) for tag in range(n)],
            text=[f"{len(teachers[tag])} of {most}" for tag in range(n)] if n <= TAGS_A_LINE else None,
            textposition="outside", textangle=0, textfont={"size": 11}, cliponaxis=False,
            customdata=[len(teachers[tag]) for tag in range(n)],
            hovertemplate="tag %{x}: %{y:,} traces of %{customdata} teachers<extra></extra>", **bars,
        )  # fmt: skip
        figure.add_heatmap(**shares_by_tag(counts, labels, n), **cells)
        for at in (bars, cells):
            figure.update_xaxes(**number_axis(range(1, n + 1), TAGS_A_LINE), **at)
        figure.update_xaxes(showticklabels=False, **bars)
        figure.update_xaxes(title={"text": "tag", "standoff": 4}, **cells)
        figure.update_yaxes(range=[0, 1.25 * max(1, highest)], nticks=4, **bars)
        figure.update_yaxes(**name_axis(labels), autorange="reversed", showgrid=False, ticks="", **cells)
        for at in (bars, cells):
            figure.update_yaxes(showticklabels=at["col"] == 1, **at)
        if bars["col"] == 1:
            figure.update_yaxes(title_text="traces", **bars)
    return figure.update_layout(coloraxis={"colorscale": COLOUR_SCALE, "cmin": 0, "cmax": 1, "showscale": False})


FIGURE = Figure(
    "What each tag was trained on",
    "Traces that the last matching of each problem gave to each tag. Above: their number, and how many of the teachers "
    "they are from; the strong bar is the covering tag, which covers the most teachers. Below: share of the tag's "
    "traces by strategy (of a teacher whose strategy is unknown: by teacher), and under it their number.",
    draw,
)
