"""The figures of where the data came from: from problems to trace sets, and what was rejected on the way."""

import math
from collections import Counter, defaultdict

import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc
from plotly.subplots import make_subplots

from forkpipe.core.records import VERDICTS
from forkpipe.generation.selection import Row, whole_text
from forkpipe.report.style import FAINT, NEUTRAL, VERDICT_COLOURS, finish, nothing
from forkpipe.strategies.base import Clusters
from forkpipe.strategies.show import Column, columns_of


def figure_funnel(
    problems: pa.Table, traces: pa.Table, verdicts: pa.Table, strategies: pa.Table, trace_sets: pa.Table
) -> go.Figure:
    """Show what is left after each stage, and beside it the verdicts on each teacher's traces."""
    verdict_of = dict(zip(verdicts["trace_id"].to_pylist(), verdicts["verdict"].to_pylist(), strict=True))
    # A trace asked for again after a failure has several rows; it counts once.
    teacher_of = dict(zip(traces["trace_id"].to_pylist(), traces["teacher"].to_pylist(), strict=True))
    distinct = set(zip(strategies["problem_id"].to_pylist(), strategies["strategy"].to_pylist(), strict=True))
    sets = [len(held) for held in trace_sets["traces"].to_pylist()]
    stages = {
        "problems": problems.num_rows,
        "traces": len(teacher_of),
        "correct traces": sum(verdict == "correct" for verdict in verdict_of.values()),
        "distinct strategies": len(distinct),
        "traces in sets": sum(sets),
        "trace sets": len(sets),
    }
    found = Counter((teacher, verdict_of[trace]) for trace, teacher in teacher_of.items() if trace in verdict_of)
    teachers = sorted({teacher for teacher, _ in found}, reverse=True)
    titles = ["What each stage leaves", "Verdicts on each teacher's traces"]
    figure = make_subplots(1, 2, horizontal_spacing=0.2, subplot_titles=titles)
    figure.add_bar(
        x=list(stages.values()), y=list(stages), orientation="h", marker_color=NEUTRAL, texttemplate="%{x:,}",
        textposition="outside", cliponaxis=False, showlegend=False, row=1, col=1,
    )  # fmt: skip
    totals = {teacher: sum(found[teacher, verdict] for verdict in VERDICTS) for teacher in teachers}
    for verdict in VERDICTS:
        counts = [found[teacher, verdict] for teacher in teachers]
        if any(counts):
            shares = [count / totals[teacher] for count, teacher in zip(counts, teachers, strict=True)]
            figure.add_bar(
                x=shares, y=teachers, orientation="h", name=verdict, marker_color=VERDICT_COLOURS[verdict],
                customdata=counts, hovertemplate="%{y}: %{customdata:,} (%{x:.1%})<extra>" + verdict + "</extra>",
                row=1, col=2,
            )  # fmt: skip
    figure.update_xaxes(title_text="number", range=[0, 1.18 * max(1, *stages.values())], row=1, col=1)
    figure.update_xaxes(title_text="share of the teacher's traces", tickformat=".0%", range=[0, 1], row=1, col=2)
    figure.update_yaxes(showgrid=False, automargin=True)
    figure.update_yaxes(autorange="reversed", row=1, col=1)
    figure.update_layout(barmode="stack", legend={"x": 1, "xanchor": "right", "traceorder": "normal"})
    return finish(figure, 200 + 34 * max(len(stages), len(teachers)))


def figure_strategies(traces: pa.Table, strategies: pa.Table, trace_sets: pa.Table) -> go.Figure:
    """Show how many strategies problems and sets hold, and those of the problem whose set holds most, step by step."""
    if trace_sets.num_rows == 0:
        return nothing("No problem has a trace set.")
    found = defaultdict(set)
    for problem, strategy in zip(strategies["problem_id"].to_pylist(), strategies["strategy"].to_pylist(), strict=True):
        found[problem].add(strategy)
    held = [len({trace["strategy"] for trace in traces}) for traces in trace_sets["traces"].to_pylist()]
    columns = _example(traces, strategies, trace_sets.slice(held.index(max(held)), 1).to_pylist()[0])
    titles = ["Strategies a problem", "Example: what each strategy of one problem does that the others do not"]
    figure = make_subplots(
        2, 1, row_heights=[0.36, 0.64], vertical_spacing=0.16, subplot_titles=titles,
        specs=[[{"type": "xy"}], [{"type": "table"}]],
    )  # fmt: skip
    for name, counts, colour in (
        ("among its correct traces", Counter(map(len, found.values())), FAINT),
        ("in its trace set", Counter(held), NEUTRAL),
    ):
        numbers = sorted(counts)
        figure.add_bar(
            x=numbers, y=[counts[number] for number in numbers], name=name, marker_color=colour, texttemplate="%{y:,}",
            textposition="outside", cliponaxis=False, row=1, col=1,
        )  # fmt: skip
    figure.update_xaxes(title_text="strategies", dtick=1, showgrid=False, row=1, col=1)
    figure.update_yaxes(title_text="problems", row=1, col=1)
    heads = [f"<b>{_plain(column.title)}</b><br>{_plain(', '.join(column.teachers))}" for column in columns]
    cells = [[_plain(step) for step in column.steps] for column in columns]
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


def _example(traces: pa.Table, strategies: pa.Table, chosen: Row) -> list[Column]:
    """Return the strategies of the correct traces of a problem, side by side."""
    rows = strategies.filter(pc.equal(strategies["problem_id"], chosen["problem_id"])).to_pylist()
    asked = traces.filter(pc.is_in(traces["trace_id"], pa.array([row["trace_id"] for row in rows], pa.string())))
    by_id = {row["trace_id"]: row for row in asked.to_pylist()}
    texts = [whole_text(by_id[row["trace_id"]]) for row in rows]
    labels = [row["strategy"] for row in rows]
    representatives = [
        max(range(len(rows)), key=lambda at: (labels[at] == label, rows[at]["representative"]))
        for label in sorted(set(labels))
    ]
    clusters = Clusters(labels, representatives, [row["distance"] for row in rows])
    return columns_of(chosen["problem"], texts, [by_id[row["trace_id"]]["teacher"] for row in rows], clusters)


def _plain(text: str) -> str:
    """Return a text that plotly shows as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("$", "&#36;")


def figure_rejected(rejected: pa.Table) -> go.Figure:
    """Show how many rows each stage rejected, by reason."""
    if rejected.num_rows == 0:
        return nothing("Nothing was rejected.")
    counts = Counter(zip(rejected["stage"].to_pylist(), rejected["reason"].to_pylist(), strict=True))
    order = sorted(counts, key=lambda key: (key[0], -counts[key], key[1]))
    figure = go.Figure()
    figure.add_bar(
        x=[counts[key] for key in order],
        y=[f"{stage}: {reason}" for stage, reason in order],
        orientation="h",
        marker_color=NEUTRAL,
        texttemplate="%{x:,}",
        textposition="outside",
        cliponaxis=False,
    )
    figure.update_xaxes(title_text="rejected rows", range=[0, 1.15 * max(counts.values())])
    figure.update_yaxes(autorange="reversed", showgrid=False, automargin=True)
    return finish(figure, 130 + 34 * len(order)).update_layout(margin={"t": 20})
