"""What was left out, and why."""

from collections import Counter

import pyarrow as pa

from forkpipe.report.figures.base import Figure
from forkpipe.report.style import NEUTRAL, Drawing, blank, finish, name_axis, nothing


def draw(rejected: pa.Table) -> Drawing:
    """Show how many rows each stage rejected, by reason."""
    if rejected.num_rows == 0:
        return nothing("Nothing was rejected.")
    counts = Counter(zip(rejected["stage"].to_pylist(), rejected["reason"].to_pylist(), strict=True))
    order = sorted(counts, key=lambda key: (key[0], -counts[key], key[1]))
    names = [f"{stage}: {reason}" for stage, reason in order]
    figure = blank()
    figure.add_bar(
        x=[counts[key] for key in order],
        y=names,
        orientation="h",
        marker_color=NEUTRAL,
        texttemplate="%{x:,}",
        textposition="outside",
        cliponaxis=False,
    )
    figure.update_xaxes(title_text="rejected rows", range=[0, 1.15 * max(counts.values())])
    figure.update_yaxes(**name_axis(names, 60), autorange="reversed", showgrid=False)
    return finish(figure, 130 + 34 * len(order)).update_layout(margin={"t": 20})


FIGURE = Figure(
    "What was left out",
    "Rows rejected on the way, by the stage that rejected them and its reason. Nothing is dropped without a row.",
    draw,
)
