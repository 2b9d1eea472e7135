"""The report: one HTML file that holds its figures and the code that draws them, so it opens offline and prints.

Whatever comes from data (names, reasons, versions) is escaped; nothing is fetched.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from forkpipe.evaluation.metrics import Rows, budget_warning, headline
from forkpipe.report.captions import FIGURES, METHODS, POLICIES

_STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #222; line-height: 1.5;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 24px 24px 64px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 8px 0 12px; }
h2 { font-size: 1.3rem; margin: 44px 0 10px; padding-top: 14px; border-top: 1px solid #ddd; }
p, dl, ul { max-width: 78ch; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: 10px 0 14px; font-size: .94rem; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 14px 6px 0; text-align: right; border-bottom: 1px solid #e6e6e6; vertical-align: top; }
th { border-bottom: 2px solid #bbb; font-weight: 600; }
th:first-child, td:first-child, .text { text-align: left; }
td small { color: #666; white-space: nowrap; display: block; }
figure { margin: 18px 0 34px; break-inside: avoid; }
figcaption { margin-top: 10px; }
figcaption, .note { color: #444; font-size: .92rem; max-width: 82ch; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; font-size: .94rem; }
dt { font-weight: 600; } dd { margin: 0; }
.warning { border-left: 4px solid #D55E00; background: #fdf3ec; padding: 10px 14px; max-width: 78ch; }
footer { margin-top: 48px; padding-top: 12px; border-top: 1px solid #ddd; color: #555; font-size: .85rem; }
@media print { main { max-width: none; padding: 0; } body { font-size: 11pt; } h2 { break-after: avoid; }
  tr, .warning { break-inside: avoid; } @page { margin: 14mm; } }
"""

# Plotly draws to the width of the window; paper is narrower.
_FIT_TO_PAPER = """
for (const event of ["beforeprint", "afterprint"]) window.addEventListener(event, () =>
  document.querySelectorAll(".js-plotly-plot").forEach(plot =>
    Plotly.relayout(plot, {width: event === "beforeprint" ? 680 : null, autosize: true})));
"""


def render_report(
    *,
    title: str,
    environment: str,
    seed: int,
    problem_counts: Mapping[str, int],
    comparison: Rows,
    differences: Sequence[Mapping[str, Any]],
    figures: Mapping[str, go.Figure],
    tag_information: Mapping[str, Any],
    strategy_agreement: Mapping[str, float] | None,
    generation: Sequence[Mapping[str, Any]],
    versions: Mapping[str, str],
) -> str:
    """Return the report as one self-contained HTML document.

    Args:
        title: heading of the report.
        environment: name of the configuration that was run, e.g. "base".
        seed: of the run.
        problem_counts: number of problems of each split.
        comparison: the `comparison` table.
        differences: rows of `paired_differences`.
        figures: by name; names of `captions.FIGURES` come first and in that order, others follow.
        tag_information: the result of `tag_information`.
        strategy_agreement: name -> number, how far strategies found agree with known ones; None if not known.
        generation: rows of the `generation_report` table.
        versions: package -> version.
    """
    rows = headline(comparison)
    names = [name for name in FIGURES if name in figures] + [name for name in figures if name not in FIGURES]
    drawn = {name: _figure(name, figures[name]) for name in names}
    lead = drawn.pop("comparison", "")
    body = [
        f"<h1>{escape(title)}</h1>",
        _introduction(rows, environment, seed, problem_counts),
        "<h2>Headline</h2>",
        _headline_table(rows),
        '<p class="note">Percent of test problems, with 95 % intervals. Intervals are a bootstrap over problems: how '
        "much another choice of problems would move a number. Variance over training seeds is <strong>not</strong> in "
        "them; training again with another seed can move a number by more.</p>",
        lead,
        "<h2>Paired differences in pass@1</h2>",
        _difference_table(differences),
        "<h2>Budgets</h2>",
        _budgets(rows, budget_warning(comparison)),
        *drawn.values(),
        "<h2>Teachers</h2>",
        _teachers(generation),
        "<h2>Strategies and tags</h2>",
        _strategies(tag_information, strategy_agreement),
        _footer(versions),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style>\n<script>{get_plotlyjs()}</script>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + f"\n</main>\n<script>{_FIT_TO_PAPER}</script>\n</body>\n</html>\n"
    )


def _introduction(
    rows: Sequence[Mapping[str, Any]], environment: str, seed: int, problem_counts: Mapping[str, int]
) -> str:
    methods = ", ".join(escape(row["method"]) for row in rows)
    counts = ", ".join(f"{count:,} {escape(split)}" for split, count in problem_counts.items())
    samples = sorted({row["n_samples"] for row in rows})
    judged = f"{rows[0]['n_problems']:,} test problems" if rows else "no test problems"
    drawn = " or ".join(f"{n:,}" for n in samples)
    glossary = [(row["method"], METHODS[row["method"]]) for row in rows if row["method"] in METHODS]
    policies = {row[name] for row in rows for name in ("policy", "cons_n_policy", "pass_n_policy")}
    glossary += [(policy, meaning) for policy, meaning in POLICIES.items() if policy in policies]
    terms = "".join(f"<dt>{escape(term)}</dt><dd>{escape(meaning)}</dd>" for term, meaning in glossary)
    return (
        f"<p>This report compares {methods} on the same problems: configuration <strong>{escape(environment)}</strong>"
        f", seed {seed}, with problems split into {counts}. Every method is judged on the same {judged}, with "
        f"{drawn} samples a problem for pass@1.</p><dl>{terms}</dl>"
    )


def _headline_table(rows: Sequence[Mapping[str, Any]]) -> str:
    k = next((row["k"] for row in rows if row["k"] is not None), "N")
    head = ["method", "policy", "pass@1", f"cons@{k}", f"pass@{k}"]
    cells = []
    for row in rows:
        line = [escape(row["method"]), escape(row["policy"]), _interval(row, "pass_1")]
        for name in ("cons_n", "pass_n"):
            other = row[f"{name}_policy"] not in (None, row["policy"])
            line.append(_interval(row, name, escape(row[f"{name}_policy"]) if other else ""))
        cells.append(line)
    return _table(head, cells, text_columns=2)


def _difference_table(differences: Sequence[Mapping[str, Any]]) -> str:
    if not differences:
        return "<p>No two methods that are held against each other were both evaluated.</p>"
    cells = []
    for row in differences:
        clear = "yes" if row["low"] > 0 or row["high"] < 0 else "no"
        name = f"{escape(row['a'])} ({escape(row['policy_a'])}) &minus; {escape(row['b'])} ({escape(row['policy_b'])})"
        numbers = f"{100 * row['value']:+.1f}<small>{100 * row['low']:+.1f} to {100 * row['high']:+.1f}</small>"
        cells.append([name, numbers.replace("-", "&minus;"), f"{row['n_problems']:,}", clear])
    return (
        _table(["difference", "points", "problems", "interval excludes 0"], cells)
        + '<p class="note">In percentage points of pass@1 on test, taken problem by problem, with 95 % bootstrap '
        "intervals over problems (not over training seeds).</p>"
    )


def _budgets(rows: Sequence[Mapping[str, Any]], warning: str | None) -> str:
    names = ("tokens_trained", "rollouts", "validation_rollouts")
    cells = [[escape(row["method"]), *(f"{row[name]:,}" for name in names)] for row in rows]
    told = f'<p class="warning" role="note">{escape(warning)}</p>' if warning else "<p>All budgets were equal.</p>"
    return (
        told
        + _table(["method", "tokens trained", "rollouts", "validation rollouts"], cells)
        + '<p class="note">Tokens trained on and samples drawn for training, over all stages that led to a method; '
        "validation rollouts are samples drawn to choose its best tag.</p>"
    )


def _teachers(generation: Sequence[Mapping[str, Any]]) -> str:
    """Return a row a teacher: what its traces took and how many of them are trained on."""
    counts = ("requests", "not_asked", "failed", "truncated", "correct", "kept", "tokens_in", "tokens_out")
    cells = [
        [
            escape(row["teacher"]),
            *(f"{row[name]:,}" for name in counts),
            _number(row["tokens_per_kept"], ".0f"),
            _number(row["price"], ".4g"),
            _number(row["price_per_kept"], ".4g"),
        ]
        for row in generation
    ]
    head = [name.replace("_", " ") for name in counts] + ["tokens a kept trace", "price", "price a kept trace"]
    return _table(["teacher", *head], cells) + (
        '<p class="note">Kept traces are those in trace sets. Tokens and prices are those of all attempts, failed and '
        "truncated ones too.</p>"
    )


def _number(value: float | None, form: str) -> str:
    return "&ndash;" if value is None else f"{value:{form}}"


def _strategies(tag_information: Mapping[str, Any], agreement: Mapping[str, float] | None) -> str:
    cells = []
    for source, key in (("matching", "matching"), ("test texts", "generations")):
        for method, found in tag_information[key].items():
            if found["mutual_information_bits"] is not None:
                numbers = [f"{found[name]:.3f}" for name in ("mutual_information_bits", "chance_bits", "purity")]
                cells.append([escape(method), source, *numbers, f"{found['n']:,}"])
    head = ["method", "measured on", "information (bits)", "by chance (bits)", "purity", "traces"]
    parts = [
        "<p>How much a tag tells of the strategy of its traces: mutual information in bits, what independent tags "
        "would show by chance, and purity, the share of traces that have the commonest strategy of their tag.</p>"
        + _table(head, cells, text_columns=2)
        if cells
        else "<p>No method with several tags was measured.</p>"
    ]
    labeler = tag_information["labeler"]
    if labeler["held_out_accuracy"] is None:
        parts.append(f"<p>Strategies of generated texts: {escape(labeler['reason'])}.</p>")
    else:
        parts.append(
            "<p>Strategies of generated texts are told by a labeler trained on "
            f"{labeler['n_train_traces']:,} traces of the trace sets; on {labeler['n_held_out_traces']:,} traces of "
            f"{labeler['n_held_out_problems']:,} problems that it had not seen, it was right in "
            f"{100 * labeler['held_out_accuracy']:.1f} % of cases.</p>"
        )
    if agreement is None:
        parts.append("<p>The true strategies of traces are not known, so agreement with them was not measured.</p>")
    else:
        lines = [
            [escape(name.replace("_", " ")), f"{value:,.3f}".removesuffix(".000")] for name, value in agreement.items()
        ]
        parts.append("<p>Agreement of the strategies found in the traces with the known ones (1 is perfect):</p>")
        parts.append(_table(["measure", "value"], lines))
    return "".join(parts)


def _figure(name: str, figure: go.Figure) -> str:
    title, caption = FIGURES.get(name, (name, ""))
    # A fixed id, so that the same results give the same file.
    ident = "figure-" + re.sub(r"\W", "-", name)
    config = {"responsive": True, "displaylogo": False, "displayModeBar": False}
    drawn = to_html(figure, config=config, full_html=False, include_plotlyjs=False, div_id=ident)
    return f"<h2>{escape(title)}</h2><figure>{drawn}<figcaption>{escape(caption)}</figcaption></figure>"


def _footer(versions: Mapping[str, str]) -> str:
    listed = ", ".join(f"{escape(name)} {escape(version)}" for name, version in versions.items())
    return f"<footer>Made by forkpipe with {listed}.</footer>"


def _interval(row: Mapping[str, Any], name: str, note: str = "") -> str:
    if row[name] is None:
        return "&ndash;"
    low, high = 100 * row[f"{name}_low"], 100 * row[f"{name}_high"]
    return f"{100 * row[name]:.1f}<small>{low:.1f} to {high:.1f}</small>" + (f"<small>{note}</small>" if note else "")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    """Return a table; cells are HTML already, headings are text, and the first columns hold text."""

    def line(mark: str, cells: Sequence[str]) -> str:
        kinds = [' class="text"' if index < text_columns else "" for index in range(len(cells))]
        return "".join(f"<{mark}{kind}>{cell}</{mark}>" for kind, cell in zip(kinds, cells, strict=True))

    body = "".join(f"<tr>{line('td', cells)}</tr>" for cells in rows)
    heading = line("th", [escape(cell) for cell in head])
    return f'<div class="scroll"><table><thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table></div>'
