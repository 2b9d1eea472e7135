"""The figures of what methods achieve: comparison, pass@k, tags, matching, training.

Figures of where the data came from are in `data_figures`. Every function takes tables and returns a figure.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa
from plotly.subplots import make_subplots

from forkpipe.evaluation.metrics import Rows, as_rows, headline
from forkpipe.evaluation.samples import method_order
from forkpipe.evaluation.tag_information import TENTHS
from forkpipe.report.style import NEUTRAL, TEMPLATE, colour_of, finish, nothing, translucent


def figure_comparison(comparison: Rows) -> go.Figure:
    """Show pass@1, cons@N and pass@N of every method under its headline policy, with 95 % intervals."""
    rows = headline(comparison)
    k = next((row["k"] for row in rows if row["k"] is not None), "N")
    measures = [("pass_1", "pass@1"), ("cons_n", f"cons@{k}"), ("pass_n", f"pass@{k}")]
    figure = make_subplots(1, 3, shared_yaxes=True, horizontal_spacing=0.06, subplot_titles=[m for _, m in measures])
    for column, (name, _) in enumerate(measures, start=1):
        for row in rows:
            if row[name] is None:
                continue
            figure.add_scatter(
                x=[row[name]],
                y=[row["method"]],
                error_x={
                    "array": [row[f"{name}_high"] - row[name]],
                    "arrayminus": [row[name] - row[f"{name}_low"]],
                    "thickness": 2,
                    "width": 5,
                },
                mode="markers+text",
                marker={"size": 11, "color": colour_of(row["method"])},
                text=[f"{100 * row[name]:.1f}"],
                textposition="top center",
                cliponaxis=False,
                hovertemplate=f"{row['method']}, {row[f'{name}_policy']}: %{{x:.1%}}<extra></extra>",
                showlegend=False,
                row=1,
                col=column,
            )
        figure.update_xaxes(title_text="share of test problems", row=1, col=column)
    figure.update_xaxes(range=[0, 1.02], tickformat=".0%", dtick=0.25)
    names = [f"{row['method']}" for row in rows]
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], range=[-0.5, len(names) - 0.3])
    return finish(figure, 110 + 62 * len(rows)).update_layout(margin={"t": 36}).update_layout(margin={"l": 110})


def figure_pass_at_k(metrics: Rows) -> go.Figure:
    """Show pass@k on test against k, with bands of the 95 % interval; dashed where the model writes its own tag."""
    rows = [r for r in as_rows(metrics) if r["split"] == "test" and r["protocol"].startswith("pass@")]
    curves: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["policy"] in ("mixed", "own"):
            curves[row["method"], row["policy"]].append(row)
    if not curves:
        return nothing("No pass@k was measured on test.")
    figure = go.Figure()
    methods = method_order(method for method, _ in curves)
    for method, policy in sorted(curves, key=lambda key: (methods.index(key[0]), key[1])):
        curve = sorted(curves[method, policy], key=lambda row: row["k"])
        ks, colour, name = [row["k"] for row in curve], colour_of(method), f"{method}, {policy}"
        figure.add_scatter(
            x=ks + ks[::-1],
            y=[row["high"] for row in curve] + [row["low"] for row in curve[::-1]],
            fill="toself",
            fillcolor=translucent(colour, 0.13),
            mode="lines",
            line={"width": 0},
            hoverinfo="skip",
            legendgroup=name,
            showlegend=False,
        )
        figure.add_scatter(
            x=ks,
            y=[row["value"] for row in curve],
            mode="lines+markers",
            line={"color": colour, "width": 2.5, "dash": "dash" if policy == "own" else "solid"},
            name=name,
            legendgroup=name,
        )
    ticks = sorted({row["k"] for row in rows})
    figure.update_xaxes(title_text="k, samples a problem (log scale)", type="log", tickvals=ticks, ticktext=ticks)
    floor = max(0.0, min(row["low"] for row in rows) - 0.05)
    figure.update_yaxes(title_text="share of test problems solved", tickformat=".0%", range=[floor, 1.02])
    return finish(figure, 440).update_layout(legend={"y": 1.02})


def figure_tags(scores: Sequence[pa.Table], tag_information: Mapping[str, Any]) -> go.Figure:
    """Show accuracy, length and strategies by tag on test, one column a method with several tags."""
    by_tag: dict[str, dict[int, list[tuple[bool, int]]]] = {}
    for table in scores:
        for row in table.select(["method", "split", "policy", "tag", "verdict", "tokens"]).to_pylist():
            if row["split"] == "test" and row["policy"] == "by_tag" and row["tag"] >= 0:
                tags = by_tag.setdefault(row["method"], {})
                tags.setdefault(row["tag"], []).append((row["verdict"] == "correct", row["tokens"]))
    methods = method_order(by_tag)
    if not methods:
        return nothing("No method with several tags was evaluated.")
    labels = tag_information["labels"]
    told = [method for method in methods if method in tag_information["generations"]]
    heights = [0.27, 0.27, 0.46] if told else [0.5, 0.5]
    figure = make_subplots(
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
    scale = TEMPLATE.layout.colorscale.sequential
    figure.update_layout(coloraxis={"colorscale": scale, "cmin": 0, "cmax": 1, "showscale": False})
    return finish(figure, 360 + (120 + 30 * len(labels) if told else 0)).update_layout(margin={"l": left, "t": 36})


def figure_matching(tag_information: Mapping[str, Any], matchings: Mapping[str, pa.Table]) -> go.Figure:
    """Show how matching settles: mutual information of tag and strategy, and the margin, by tenth of training."""
    if not matchings:
        return nothing("No method was trained with tags.")
    titles = ["Do tags and strategies go together?", "How clear is the choice of tags?"]
    figure = make_subplots(1, 2, horizontal_spacing=0.11, subplot_titles=titles)
    for method in method_order(matchings):
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
        margins = _median_margins(matchings[method])
        shared |= {"x": [tenth / TENTHS for tenth in margins], "showlegend": False}
        figure.add_scatter(**shared, y=list(margins.values()), row=1, col=2)
    tags = max(len(found["tags"]) for found in tag_information["matching"].values())
    most = float(np.log2(max(2, min(tags, len(tag_information["labels"])))))
    figure.add_hline(
        y=most, line={"color": NEUTRAL, "width": 1}, annotation_text=f"most that is possible: {most:.2f} bits",
        annotation_position="bottom left", row=1, col=1,
    )  # fmt: skip
    figure.update_xaxes(title_text="share of training done", tickformat=".0%", range=[0, 1.03])
    figure.update_yaxes(title_text="mutual information (bits)", range=[0, 1.08 * most], row=1, col=1)
    figure.update_yaxes(title_text="median margin (nats a token)", rangemode="tozero", row=1, col=2)
    return finish(figure, 400)


def figure_training(training_logs: Mapping[str, pa.Table]) -> go.Figure:
    """Show the loss of supervised methods, and reward and entropy of those trained by reinforcement learning."""
    panels = (("loss", "loss (nats a token)"), ("reward", "mean reward"), ("entropy", "entropy (nats)"))
    curves: dict[str, dict[str, tuple[list[int], list[float]]]] = {name: {} for name, _ in panels}
    for method in method_order(training_logs):
        rows = training_logs[method].select(["step", "loss", "reward", "entropy"]).to_pylist()
        rewarded = any(row["reward"] is not None for row in rows)
        # A policy-gradient loss is 0 on average whatever is learned, so it would only mislead.
        for name in ("reward", "entropy") if rewarded else ("loss",):
            points = sorted((row["step"], row[name]) for row in rows if row[name] is not None)
            if points:
                curves[name][method] = ([step for step, _ in points], [value for _, value in points])
    used = [(name, title) for name, title in panels if curves[name]]
    if not used:
        return nothing("No training was logged.")
    figure = make_subplots(1, len(used), horizontal_spacing=0.09, subplot_titles=[n.capitalize() for n, _ in used])
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


def _median_margins(matching: pa.Table) -> dict[int, float]:
    """Return the median margin in nats a token by tenth of training, from 1."""
    rows = matching.select(["step", "margin"]).to_pylist()
    steps = 1 + max((row["step"] for row in rows), default=0)
    margins: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        if row["margin"] is not None:
            margins[1 + row["step"] * TENTHS // steps].append(row["margin"])
    return {tenth: float(np.median(margins[tenth])) for tenth in sorted(margins)}


def _running_mean(values: Sequence[float]) -> list[float]:
    """Smooth with a centred window of a twentieth of the curve, cut off at its ends."""
    half = len(values) // 40
    return [float(np.mean(values[max(0, i - half) : i + half + 1])) for i in range(len(values))]
