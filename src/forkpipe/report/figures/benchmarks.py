"""Models on benchmarks: each metric with its intervals, and the table behind the picture."""

from typing import Any

from forkpipe.evaluation.benchmark_metrics import WHOLE
from forkpipe.evaluation.metrics import Rows, as_rows
from forkpipe.report.figures.base import Figure
from forkpipe.report.style import Drawing, blank, colour_of, finish, nothing, plain

COLUMNS = ("model", "policy", "protocol", "value", "over problems", "over samples", "detects", "problems x samples")


def draw(benchmark_metrics: Rows) -> Drawing:
    """Show every metric of every model, a row a benchmark and protocol, with its 95 % interval over problems."""
    rows = [row for row in as_rows(benchmark_metrics) if row["subset"] == WHOLE and row["value"] is not None]
    if not rows:
        return nothing("No model was measured on a benchmark.")
    figure = blank()
    lines = list(dict.fromkeys(_line(row) for row in rows))
    for subject, policy in dict.fromkeys((row["subject"], row["policy"]) for row in rows):
        mine = [row for row in rows if (row["subject"], row["policy"]) == (subject, policy)]
        figure.add_scatter(
            x=[row["value"] for row in mine],
            y=[_line(row) for row in mine],
            error_x={
                "array": [row["problems_high"] - row["value"] for row in mine],
                "arrayminus": [row["value"] - row["problems_low"] for row in mine],
                "thickness": 1.5,
                "width": 4,
            },
            mode="markers",
            marker={"size": 10, "color": colour_of(subject), "symbol": _symbol(policy)},
            name=plain(f"{subject}, {policy}"),
            customdata=[[_span(row, "samples"), row["n_problems"], row["n_samples"]] for row in mine],
            hovertemplate="%{y}: %{x:.1%}<br>over samples %{customdata[0]}<br>%{customdata[1]} problems x "
            "%{customdata[2]} samples<extra>%{fullData.name}</extra>",
        )
    figure.update_xaxes(title_text="share of the benchmark's problems", range=[0, 1.02], tickformat=".0%")
    figure.update_yaxes(categoryorder="array", categoryarray=lines[::-1], automargin=True)
    return finish(figure, 170 + 44 * len(lines)).update_layout(legend={"y": 1.02})


def draw_table(benchmark_metrics: Rows) -> Drawing:
    """Show the same figures as numbers, with both intervals and what each can tell apart."""
    rows = [row for row in as_rows(benchmark_metrics) if row["subset"] == WHOLE]
    if not rows:
        return nothing("No model was measured on a benchmark.")
    import plotly.graph_objects as go

    cells = [["benchmark", *COLUMNS], *map(_cells, rows)]
    columns = list(zip(*cells, strict=True))
    figure = blank()
    figure.add_trace(
        go.Table(
            header={"values": [column[0] for column in columns], "align": "left"},
            cells={"values": [column[1:] for column in columns], "align": "left", "height": 24},
        )
    )
    return finish(figure, 90 + 26 * len(rows))


def _line(row: dict[str, Any]) -> str:
    return plain(f"{row['benchmark']}, {row['protocol']}")


def _cells(row: dict[str, Any]) -> list[str]:
    detects = "–" if row["detectable"] is None else f"{100 * row['detectable']:.1f}"
    size = f"{row['n_problems']} x {row['n_samples']}"
    named = [plain(row[column]) for column in ("benchmark", "subject", "policy", "protocol")]
    named.append("–" if row["value"] is None else f"{100 * row['value']:.1f}")
    return [*named, _span(row, "problems"), _span(row, "samples"), detects, size]


def _span(row: dict[str, Any], kind: str) -> str:
    low, high = row[f"{kind}_low"], row[f"{kind}_high"]
    return "–" if low is None else f"{100 * low:.1f} to {100 * high:.1f}"


def _symbol(policy: str) -> str:
    kinds = {"none": "circle", "spread": "square", "own": "diamond", "router": "diamond-open"}
    return kinds.get(policy, "triangle-up")


FIGURE = Figure(
    "Benchmarks",
    "Every model on every benchmark. avg@n is the accuracy of n samples a problem, pass@k the chance that one of k "
    "samples is correct, cons@k the accuracy of a vote among k. Lines are 95 % intervals over problems; the shape of a "
    "mark says under which tags the model was asked.",
    draw,
    optional=True,
)
TABLE = Figure(
    "Benchmarks in numbers",
    "In percent. Over problems: where the value would be with other problems of this kind; over samples: with other "
    "samples of these problems. detects: the smallest difference between two models on these problems that two runs of "
    "this size tell apart in 80 % of cases.",
    draw_table,
    optional=True,
)
