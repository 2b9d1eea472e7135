"""Accuracy against the number of tries."""

import math
from collections import defaultdict
from typing import Any

from forkpipe.evaluation.metrics import Rows, as_rows
from forkpipe.evaluation.samples import method_order
from forkpipe.report.figures.base import Figure
from forkpipe.report.style import Drawing, blank, colour_of, finish, nothing, translucent


def draw(metrics: Rows) -> Drawing:
    """Show pass@k on test against k, with bands of the 95 % interval; dashed where the model writes its own tag."""
    rows = [r for r in as_rows(metrics) if r["split"] == "test" and r["protocol"].startswith("pass@")]
    curves: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["policy"] in ("mixed", "own", "none"):
            curves[row["method"], row["policy"]].append(row)
    if not curves:
        return nothing("No pass@k was measured on test.")
    figure = blank()
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
    ticks = _apart(sorted({row["k"] for row in rows}))
    figure.update_xaxes(title_text="k, samples a problem (log scale)", type="log", tickvals=ticks, ticktext=ticks)
    top = max(row["high"] for curve in curves.values() for row in curve)
    figure.update_yaxes(title_text="share of test problems solved", tickformat=".0%", range=[0, 1.02 * top])
    return finish(figure, 440).update_layout(legend={"y": 1.02})


def _apart(ks: list[int]) -> list[int]:
    """Return the ks that have room for their label on the axis: a twenty-fifth of its length from the one before."""
    least = math.log(ks[-1] / ks[0]) / 25
    shown = ks[:1]
    for k in ks[1:]:
        if math.log(k / shown[-1]) > least:
            shown.append(k)
    return shown


FIGURE = Figure(
    "Accuracy with k tries",
    "Share of test problems that at least one of k samples solves (unbiased estimate). A method that "
    "finds more ways to solve problems rises further. Solid lines pool all tags equally; dashed lines let"
    " the model write its own tag. Bands are 95 % intervals over problems.",
    draw,
)
