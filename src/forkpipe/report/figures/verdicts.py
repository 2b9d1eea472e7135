"""Why samples were right or wrong: the verdicts on the samples of each method."""

import pyarrow as pa

from forkpipe.core.records import VERDICTS
from forkpipe.evaluation.samples import PLAIN_TAG, method_order, verdict_counts
from forkpipe.report.figures.base import Figure
from forkpipe.report.style import VERDICT_COLOURS, Drawing, blank, finish, name_axis, nothing

WAYS = {"by_tag": "each tag forced", "own": "its own tag"}
"""How samples were drawn, where a method has several tags."""


def draw(scores: pa.Table) -> Drawing:
    """Show the shares of the verdicts on test samples, a bar for each method and way of sampling."""
    by_tag = verdict_counts(scores, "method", "policy", "tag")
    if not by_tag:
        return nothing("No test sample was scored.")
    tagged = {method for method, _, tag in by_tag if tag != PLAIN_TAG}
    counts = verdict_counts(scores, "method", "policy")
    methods = method_order(method for method, _ in counts)
    keys = sorted(counts, key=lambda key: (methods.index(key[0]), key[1]))
    names = {
        (method, policy): f"{method}, {WAYS.get(policy, policy)}" if method in tagged else method
        for method, policy in keys
    }
    figure = blank()
    for verdict in VERDICTS:
        seen = [counts[key][verdict] for key in keys]
        if not any(seen):
            continue
        shares = [count / counts[key].total() for count, key in zip(seen, keys, strict=True)]
        figure.add_bar(
            x=shares, y=[names[key] for key in keys], orientation="h", name=verdict,
            marker_color=VERDICT_COLOURS[verdict],
            text=[f"{share:.0%}" if share >= 0.05 else "" for share in shares], textposition="inside", textangle=0,
            insidetextanchor="middle", insidetextfont={"color": "black"},
            customdata=[[count, counts[key].total()] for count, key in zip(seen, keys, strict=True)],
            hovertemplate="%{y}: %{customdata[0]:,} of %{customdata[1]:,} (%{x:.1%})<extra>" + verdict + "</extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="share of test samples", tickformat=".0%", range=[0, 1])
    figure.update_yaxes(**name_axis([names[key] for key in keys], 40), autorange="reversed", showgrid=False)
    figure.update_layout(barmode="stack", bargap=0.25, legend={"traceorder": "normal", "y": 1, "yanchor": "bottom"})
    return finish(figure, 120 + 32 * len(keys)).update_layout(margin={"t": 36})


FIGURE = Figure(
    "Verdicts by method",
    "What the verifier said of the test samples. Correct and wrong: an answer was read and compared. Unparsed: no "
    "answer was found in the text. Truncated: the token limit cut the text, whatever it holds. Timeout and failed: the "
    "verifier could not say. Many truncated or unparsed samples ask for a longer limit or another prompt rather than "
    "for another method.",
    draw,
    all_seeds=True,
)
