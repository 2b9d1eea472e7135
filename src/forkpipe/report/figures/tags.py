"""Accuracy, verdicts, length and strategies under each forced tag."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from forkpipe.core.records import VERDICTS
from forkpipe.core.statistics import mean_interval
from forkpipe.evaluation.samples import CORRECT, method_order
from forkpipe.report.figures.base import Figure
from forkpipe.report.style import (
    COLOUR_SCALE,
    INK,
    VERDICT_COLOURS,
    Drawing,
    blocks,
    colour_of,
    name_axis,
    nothing,
    number_axis,
)

TAGS_A_LINE = 18
"""Most tags beside each other, of all methods together, that have room for a number each."""

Samples = Mapping[int, Sequence[Mapping[str, Any]]]
"""Scored samples of a method by tag."""


def draw(scores: pa.Table, tag_information: Mapping[str, Any]) -> Drawing:
    """Show accuracy, verdicts, length and strategies by tag on test, one block a method with several tags."""
    by_method: dict[str, dict[int, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in scores.select(["method", "split", "policy", "tag", "problem_id", "verdict", "tokens"]).to_pylist():
        if row["split"] == "test" and row["policy"] == "by_tag" and row["tag"] >= 0:
            by_method[row["method"]][row["tag"]].append(row)
    methods = method_order(by_method)
    if not methods:
        return nothing("No method with several tags was evaluated.")
    n = max(1 + tag for samples in by_method.values() for tag in samples)
    labels, told = tag_information["labels"], tag_information["generations"]
    heights = [110, 70, 80] + [40 * len(labels)] * any(method in told for method in methods)
    figure, place = blocks(methods, heights, TAGS_A_LINE // n)
    highest = [0.0, 1.0, 0.0]
    for block, method in enumerate(methods):
        samples = {tag: by_method[method][tag] for tag in sorted(by_method[method])}
        places = [place(block, panel) for panel in range(len(heights))]
        highest[0] = max(highest[0], _accuracy(figure, samples, colour_of(method), n, places[0]))
        _verdicts(figure, samples, block == 0, places[1])
        highest[2] = max(highest[2], _length(figure, samples, colour_of(method), n, places[2]))
        if method in told:
            counts = np.asarray(told[method]["counts"])
            figure.add_heatmap(**shares_by_tag(counts, labels, n), **places[3])
            figure.update_yaxes(**name_axis(labels), autorange="reversed", showgrid=False, ticks="", **places[3])
        for panel, at in enumerate(places):
            last = panel == len(heights) - 1
            figure.update_xaxes(**number_axis(range(1, n + 1), TAGS_A_LINE), showticklabels=last, **at)
            figure.update_xaxes(title={"text": "tag" if last else None, "standoff": 4}, **at)
            figure.update_yaxes(showticklabels=at["col"] == 1, **at)
    rows = (("accuracy", ".0%", 1.25), ("verdicts", ".0%", 1), ("tokens", ",", 1.1))
    for panel, (title, form, room) in enumerate(rows):
        for at in (place(block, panel) for block in range(len(methods))):
            figure.update_yaxes(range=[0, room * highest[panel] or 1], tickformat=form, nticks=4, **at)
            figure.update_yaxes(title={"text": title if at["col"] == 1 else None, "standoff": 10}, **at)
    figure.update_layout(coloraxis={"colorscale": COLOUR_SCALE, "cmin": 0, "cmax": 1, "showscale": False})
    return figure.update_layout(barmode="stack", legend={"traceorder": "normal", "y": 1 + 34 / figure.layout.height})


def shares_by_tag(counts: npt.NDArray[Any], labels: Sequence[str], n: int) -> dict[str, Any]:
    """Return a heat map of the labels under each tag: shares of the tag's items, and below them their number.

    Args:
        counts: (tags, labels).
        n: number of tags of the figure.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    text = [
        [f"{share:.0%}<br>{count:,.0f}" if count else "0" for share, count in zip(*pair, strict=True)]
        for pair in zip(shares.T, counts.T, strict=True)
    ]
    return {
        "z": shares.T, "x": [str(tag + 1) for tag in range(len(counts))], "y": list(labels),
        "zmin": 0, "zmax": 1, "coloraxis": "coloraxis", "xgap": 1, "ygap": 1, "text": text, "customdata": counts.T,
        "texttemplate": "%{text}" if n <= TAGS_A_LINE else None, "textfont": {"size": 11},
        "hovertemplate": "tag %{x}, %{y}: %{customdata:,} (%{z:.1%})<extra></extra>",
    }  # fmt: skip


def _accuracy(figure: Drawing, samples: Samples, colour: str, n: int, at: dict[str, int]) -> float:
    """Add the accuracy of each tag with its interval, and the share of problems it solves at least once.

    Returns the highest value shown.
    """
    means, lows, highs, solved = [], [], [], []
    for rows in samples.values():
        right = defaultdict(list)
        for row in rows:
            right[row["problem_id"]].append(row["verdict"] == CORRECT)
        values = [float(np.mean(marks)) for marks in right.values()]
        low, high = mean_interval(values)
        means.append(float(np.mean(values)))
        lows.append(means[-1] - low)
        highs.append(high - means[-1])
        solved.append(float(np.mean([any(marks) for marks in right.values()])))
    figure.add_bar(
        x=_names(samples), y=means, marker_color=colour, showlegend=False,
        error_y={"array": highs, "arrayminus": lows, "color": INK, "thickness": 1, "width": 2},
        hovertemplate="tag %{x}: %{y:.1%}<extra>accuracy</extra>", **at,
    )  # fmt: skip
    figure.add_scatter(
        x=_names(samples), y=solved, mode="markers", showlegend=False,
        marker={"symbol": "line-ew-open", "size": 14, "color": INK, "line": {"width": 2}},
        hovertemplate="tag %{x}: %{y:.1%}<extra>solved at least once</extra>", **at,
    )  # fmt: skip
    tops = [max(pair) for pair in zip(solved, (m + h for m, h in zip(means, highs, strict=True)), strict=True)]
    if n <= TAGS_A_LINE:
        figure.add_scatter(
            x=_names(samples), y=tops, mode="text", text=[f"{mean:.0%}" for mean in means], textposition="top center",
            textfont={"size": 11}, showlegend=False, hoverinfo="skip", cliponaxis=False, **at,
        )  # fmt: skip
    return max(tops)


def _verdicts(figure: Drawing, samples: Samples, legend: bool, at: dict[str, int]) -> None:
    counts = [Counter(row["verdict"] for row in rows) for rows in samples.values()]
    for verdict in VERDICTS:
        figure.add_bar(
            x=_names(samples), y=[count[verdict] / count.total() for count in counts], name=verdict,
            legendgroup=verdict, showlegend=legend, marker_color=VERDICT_COLOURS[verdict],
            customdata=[count[verdict] for count in counts],
            hovertemplate="tag %{x}: %{customdata:,} (%{y:.1%})<extra>" + verdict + "</extra>", **at,
        )  # fmt: skip


def _length(figure: Drawing, samples: Samples, colour: str, n: int, at: dict[str, int]) -> float:
    means = [float(np.mean([row["tokens"] for row in rows])) for rows in samples.values()]
    figure.add_bar(
        x=_names(samples), y=means, marker_color=colour, showlegend=False, textposition="auto", textangle=0,
        texttemplate="%{y:,.0f}" if n <= TAGS_A_LINE else None, **at,
    )  # fmt: skip
    return max(means)


def _names(tags: Samples) -> list[str]:
    return [str(tag + 1) for tag in tags]


FIGURE = Figure(
    "What each tag came to do",
    "Test samples under each forced tag (numbered from 1, as tags are written): accuracy (bars, with 95 % Wilson "
    "intervals over problems; the short line above is the share of problems that the tag solves at least once), "
    "verdicts, mean length, and the strategies of its texts as told by the labeler described above: share of the tag's "
    "texts, and under it their number. If tags mean something, columns differ; under random assignment "
    "they should not.",
    draw,
)
