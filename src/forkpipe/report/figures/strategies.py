"""The number of strategies of each problem, and the strategies of one problem as an example."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from forkpipe.generation.selection import whole_text
from forkpipe.report.figures.base import Figure, batches
from forkpipe.report.style import FAINT, NEUTRAL, Drawing, finish, nothing, panels, plain
from forkpipe.strategies.base import Clusters

if TYPE_CHECKING:
    from forkpipe.strategies.show import Column


def draw(traces: pa.Table, strategies: pa.Table, trace_sets: pa.Table) -> Drawing:
    """Show how many strategies problems and their sets have, and the steps of the problem whose set has most."""
    if trace_sets.num_rows == 0:
        return nothing("No problem has a trace set.")
    strategies_of: dict[str, set[int]] = defaultdict(set)
    for batch in batches(strategies, "problem_id", "strategy"):
        for problem, strategy in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            strategies_of[problem].add(strategy)
    held: list[int] = []
    shown: dict[str, Any] = {}
    for batch in batches(trace_sets, "problem_id", "problem", "traces"):
        for row in batch.to_pylist():
            held.append(len({trace["strategy"] for trace in row["traces"]}))
            if not shown or held[-1] > shown["strategies"]:
                shown = {"problem_id": row["problem_id"], "problem": row["problem"], "strategies": held[-1]}
    columns = _example(traces, strategies, shown)
    titles = ["Strategies per problem", "Example: what each strategy of one problem does that the others do not"]
    figure = panels(
        2, 1, row_heights=[0.36, 0.64], vertical_spacing=0.24, subplot_titles=titles,
        specs=[[{"type": "xy"}], [{"type": "table"}]],
    )  # fmt: skip
    for name, counts, colour in (
        ("among its correct traces", Counter(map(len, strategies_of.values())), FAINT),
        ("in its trace set", Counter(held), NEUTRAL),
    ):
        numbers = sorted(counts)
        figure.add_bar(
            x=numbers, y=[counts[number] for number in numbers], name=name, marker_color=colour, texttemplate="%{y:,}",
            textposition="outside", cliponaxis=False, row=1, col=1,
        )  # fmt: skip
    figure.update_xaxes(title_text="strategies", dtick=1, showgrid=False, row=1, col=1)
    figure.update_yaxes(title_text="problems", row=1, col=1)
    heads = [f"<b>{plain(column.title)}</b><br>{plain(', '.join(column.teachers))}" for column in columns]
    cells = [[plain(step) for step in column.steps] for column in columns]
    most = max(map(len, cells))
    figure.add_table(
        header={"values": heads, "align": "left", "fill_color": FAINT},
        cells={
            "values": [[*cell, *[""] * (most - len(cell))] for cell in cells],
            "align": "left",
            "fill_color": "white",
            "line_color": FAINT,
        },
        row=2,
        col=1,
    )
    # A table scrolls where it is too low: room for its lines at seven pixels a character of a column.
    width = 130 // len(columns)
    lines = sum(max(math.ceil(len(cell[at]) / width) for cell in cells if at < len(cell)) for at in range(most))
    return finish(figure, max(560, min(1200, 360 + 22 * (lines + 3)))).update_layout(barmode="group")


def _example(traces: pa.Table, strategies: pa.Table, chosen: Mapping[str, Any]) -> "list[Column]":
    """Return the strategies of the correct traces of a problem, side by side."""
    from forkpipe.strategies.show import columns_of

    def of_problem(table: pa.Table, *columns: str) -> list[dict[str, Any]]:
        rows = (row for batch in batches(table, "problem_id", *columns) for row in batch.to_pylist())
        return [row for row in rows if row["problem_id"] == chosen["problem_id"]]

    rows = of_problem(strategies, "trace_id", "strategy", "representative", "distance")
    by_id = {row["trace_id"]: row for row in of_problem(traces, "trace_id", "teacher", "text", "reasoning")}
    texts = [whole_text(by_id[row["trace_id"]]) for row in rows]
    labels = [row["strategy"] for row in rows]
    representatives = [
        max(range(len(rows)), key=lambda at: (labels[at] == label, rows[at]["representative"]))
        for label in sorted(set(labels))
    ]
    clusters = Clusters(labels, representatives, [row["distance"] for row in rows])
    return columns_of(chosen["problem"], texts, [by_id[row["trace_id"]]["teacher"] for row in rows], clusters)


FIGURE = Figure(
    "Strategies in the data",
    "Above: number of problems by the number of strategies among their correct traces, and in their trace sets. "
    "Below: the problem whose set has the most strategies; each column is one strategy, with the steps of its "
    "representative that no other strategy takes and, in brackets, what sets them apart.",
    draw,
)
