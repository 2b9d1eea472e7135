"""How much each stage of the data pipeline keeps."""

from collections import Counter

import pyarrow as pa

from forkpipe.core.records import VERDICTS
from forkpipe.report.figures.base import Figure, batches
from forkpipe.report.style import NEUTRAL, VERDICT_COLOURS, Drawing, finish, name_axis, panels


def draw(
    problems: pa.Table, traces: pa.Table, verdicts: pa.Table, strategies: pa.Table, trace_sets: pa.Table
) -> Drawing:
    """Show what is left after each stage, and beside it the verdicts on each teacher's traces."""
    verdict_of: dict[str, str] = {}
    for batch in batches(verdicts, "trace_id", "verdict"):
        verdict_of |= zip(*(column.to_pylist() for column in batch.columns), strict=True)
    # A trace asked for again after a failure has several rows; it counts once.
    teacher_of: dict[str, str] = {}
    for batch in batches(traces, "trace_id", "teacher"):
        teacher_of |= zip(*(column.to_pylist() for column in batch.columns), strict=True)
    distinct: set[tuple[str, int]] = set()
    for batch in batches(strategies, "problem_id", "strategy"):
        distinct |= set(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    sets = [n for batch in batches(trace_sets, "traces") for n in batch.column(0).value_lengths().to_pylist()]
    stages = {
        "problems": problems.num_rows,
        "traces": len(teacher_of),
        "correct traces": sum(verdict == "correct" for verdict in verdict_of.values()),
        "distinct strategies": len(distinct),
        "traces in sets": sum(sets),
        "trace sets": len(sets),
    }
    counts_of = Counter((teacher, verdict_of[trace]) for trace, teacher in teacher_of.items() if trace in verdict_of)
    teachers = sorted({teacher for teacher, _ in counts_of}, reverse=True)
    titles = ["What each stage leaves", "Verdicts on each teacher's traces"]
    figure = panels(1, 2, horizontal_spacing=0.24, subplot_titles=titles)
    figure.add_bar(
        x=list(stages.values()), y=list(stages), orientation="h", marker_color=NEUTRAL, texttemplate="%{x:,}",
        textposition="outside", cliponaxis=False, showlegend=False, row=1, col=1,
    )  # fmt: skip
    totals = {teacher: sum(counts_of[teacher, verdict] for verdict in VERDICTS) for teacher in teachers}
    for verdict in VERDICTS:
        counts = [counts_of[teacher, verdict] for teacher in teachers]
        if any(counts):
            shares = [count / totals[teacher] for count, teacher in zip(counts, teachers, strict=True)]
            figure.add_bar(
                x=shares, y=teachers, orientation="h", name=verdict, marker_color=VERDICT_COLOURS[verdict],
                customdata=counts, hovertemplate="%{y}: %{customdata:,} (%{x:.1%})<extra>" + verdict + "</extra>",
                row=1, col=2,
            )  # fmt: skip
    figure.update_xaxes(title_text="number", range=[0, 1.18 * max(1, *stages.values())], row=1, col=1)
    figure.update_xaxes(title_text="share of the teacher's traces", tickformat=".0%", range=[0, 1], row=1, col=2)
    figure.update_yaxes(showgrid=False)
    figure.update_yaxes(**name_axis(list(stages)), autorange="reversed", row=1, col=1)
    figure.update_yaxes(**name_axis(teachers), row=1, col=2)
    figure.update_layout(barmode="stack", legend={"x": 1, "xanchor": "right", "traceorder": "normal"})
    return finish(figure, 200 + 34 * max(len(stages), len(teachers)))


FIGURE = Figure(
    "From problems to trace sets",
    "Left: how much each stage of the data pipeline keeps. One problem gives several traces; of the correct "
    "ones, those by distinct strategies are put into the problem's trace set. Right: what the verifier "
    "said about each teacher.",
    draw,
)
