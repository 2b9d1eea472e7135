"""The headline of each method: pass@1, cons@N and pass@N."""

from collections import defaultdict
from typing import Any

from forkpipe.core.subsets import NO_VOTES
from forkpipe.evaluation.metrics import Rows, as_rows, headline
from forkpipe.report.figures.base import Figure
from forkpipe.report.style import Drawing, colour_of, finish, name_axis, panels, translucent


def draw(comparison: Rows, metrics: Rows) -> Drawing:
    """Show pass@1, cons@N and pass@N of every method under its headline policy, with 95 % intervals.

    Where there are several training seeds, the interval over seeds is a band, and each seed an open circle.
    """
    rows = headline(comparison)
    k = next((row["k"] for row in rows if row["k"] is not None), "N")
    no_votes = f": {NO_VOTES}" if any(NO_VOTES in row["notes"] for row in rows) else ""
    measures = [("pass_1", "pass@1"), ("cons_n", f"cons@{k}"), ("pass_n", f"pass@{k}")]
    titles = [title + (no_votes if name == "cons_n" else "") for name, title in measures]
    figure = panels(1, 3, shared_yaxes=True, horizontal_spacing=0.06, subplot_titles=titles)
    of_seeds = _values_of_seeds(metrics)
    for column, (name, protocol) in enumerate(measures, start=1):
        for row in rows:
            if row[name] is None:
                continue
            colour = colour_of(row["method"])
            at: dict[str, Any] = {"row": 1, "col": column, "showlegend": False}
            if band := row.get(f"{name}_seeds"):
                figure.add_scatter(
                    x=list(band), y=[row["method"]] * 2, mode="lines", hoverinfo="skip",
                    line={"color": translucent(colour, 0.25), "width": 14}, **at,
                )  # fmt: skip
            if points := of_seeds[row["method"], protocol, row[f"{name}_policy"]]:
                figure.add_scatter(
                    x=list(points.values()), y=[row["method"]] * len(points), mode="markers", **at,
                    marker={"symbol": "circle-open", "size": 8, "color": colour, "line": {"width": 1.5}},
                    text=[f"seed {seed}" for seed in points], hovertemplate="%{text}: %{x:.1%}<extra></extra>",
                )  # fmt: skip
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
                marker={"size": 11, "color": colour},
                text=[f"{100 * row[name]:.1f}"],
                textposition="top center",
                cliponaxis=False,
                hovertemplate=f"{row['method']}, {row[f'{name}_policy']}: %{{x:.1%}}<extra></extra>",
                **at,
            )
        figure.update_xaxes(title_text="share of test problems", row=1, col=column)
    ends = [row[f"{name}_high"] for row in rows for name, _ in measures if row[name] is not None]
    top = max([*ends, *(value for points in of_seeds.values() for value in points.values())], default=1)
    # Room on the left keeps a mark at 0 clear of its method's name.
    figure.update_xaxes(range=[-0.04 * top, 1.04 * top], tickformat=".0%", nticks=5)
    names = [row["method"] for row in rows]
    figure.update_yaxes(**name_axis(names), categoryorder="array", categoryarray=names[::-1])
    figure.update_yaxes(range=[-0.5, len(names) - 0.3])
    return finish(figure, 110 + 62 * len(rows)).update_layout(margin={"t": 36})


def _values_of_seeds(metrics: Rows) -> dict[tuple[str, str, str], dict[int, float]]:
    """Return the values on test of each training seed, by method, protocol and policy; none where there is one seed."""
    values: dict[tuple[str, str, str], dict[int, float]] = defaultdict(dict)
    for row in as_rows(metrics):
        if row["split"] == "test" and row.get("training_seed") is not None and row["value"] is not None:
            values[row["method"], row["protocol"], row["policy"]][row["training_seed"]] = row["value"]
    return values


FIGURE = Figure(
    "Accuracy by method",
    "Each method as it would be used (see the policy in the table above). pass@1 is the accuracy of a "
    "single sample; cons@N is the accuracy of a plurality vote among N samples, with ties averaged; pass@N is the "
    "share of problems that at least one of N samples solves. Lines are 95 % intervals over problems (Wilson "
    "intervals, which stay wide at 0 and 100 %). With several training seeds, bands are 95 % t intervals over seeds "
    "and open circles single seeds.",
    draw,
    all_seeds=True,
)
