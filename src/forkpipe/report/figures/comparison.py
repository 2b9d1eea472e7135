"""The headline of each method: pass@1, cons@N and pass@N."""

from forkpipe.core.subsets import NO_VOTES
from forkpipe.evaluation.metrics import Rows, headline
from forkpipe.report.figures.base import Figure
from forkpipe.report.style import Drawing, colour_of, finish, name_axis, panels


def draw(comparison: Rows) -> Drawing:
    """Show pass@1, cons@N and pass@N of every method under its headline policy, with 95 % intervals."""
    rows = headline(comparison)
    k = next((row["k"] for row in rows if row["k"] is not None), "N")
    no_votes = f": {NO_VOTES}" if any(NO_VOTES in row["notes"] for row in rows) else ""
    measures = [("pass_1", "pass@1"), ("cons_n", f"cons@{k}{no_votes}"), ("pass_n", f"pass@{k}")]
    figure = panels(1, 3, shared_yaxes=True, horizontal_spacing=0.06, subplot_titles=[m for _, m in measures])
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
    top = max((row[f"{name}_high"] for row in rows for name, _ in measures if row[name] is not None), default=1)
    # Room on the left keeps a mark at 0 clear of its method's name.
    figure.update_xaxes(range=[-0.04 * top, 1.04 * top], tickformat=".0%", nticks=5)
    names = [row["method"] for row in rows]
    figure.update_yaxes(**name_axis(names), categoryorder="array", categoryarray=names[::-1])
    figure.update_yaxes(range=[-0.5, len(names) - 0.3])
    return finish(figure, 110 + 62 * len(rows)).update_layout(margin={"t": 36})


FIGURE = Figure(
    "Accuracy by method",
    "Each method as it would be used (see the policy in the table above). pass@1 is the accuracy of a "
    "single sample; cons@N is the accuracy of a plurality vote among N samples, with ties averaged; pass@N is the "
    "share of problems that at least one of N samples solves. Lines are 95 % intervals over problems (Wilson "
    "intervals, which stay wide at 0 and 100 %).",
    draw,
)
