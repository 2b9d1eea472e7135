"""The report: one HTML file that holds its figures and the code that draws them, so it opens offline and prints.

The page is the Jinja2 template `report.html`. Whatever comes from data (names, reasons, versions) is escaped; nothing
is fetched.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from forkpipe.evaluation.metrics import Rows, budget_warning, headline
from forkpipe.report.captions import FIGURES, METHODS, POLICIES

TEMPLATE = "report.html"


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
    shown = {name: _figure(name, figures[name]) for name in names}
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"number": _number, "percent": _percent, "points": _points}
    return templates.get_template(TEMPLATE).render(
        title=title,
        environment=environment,
        seed=seed,
        problem_counts=", ".join(f"{count:,} {split}" for split, count in problem_counts.items()),
        rows=rows,
        samples=" or ".join(f"{n:,}" for n in sorted({row["n_samples"] for row in rows})),
        k=next((row["k"] for row in rows if row["k"] is not None), "N"),
        glossary=_glossary(rows),
        lead=shown.pop("comparison", None),
        figures=list(shown.values()),
        differences=differences,
        warning=budget_warning(comparison),
        generation=generation,
        tag_rows=[
            (method, source, row)
            for source, key in (("matching", "matching"), ("test texts", "generations"))
            for method, row in tag_information[key].items()
            if row["mutual_information_bits"] is not None
        ],
        labeler=tag_information["labeler"],
        strategy_agreement=strategy_agreement,
        versions=", ".join(f"{name} {version}" for name, version in versions.items()),
        plotly_js=Markup(get_plotlyjs()),
    )


def _glossary(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return the methods and policies of the headline with what they mean."""
    used = {row[name] for row in rows for name in ("policy", "cons_n_policy", "pass_n_policy")}
    methods = [(row["method"], METHODS[row["method"]]) for row in rows if row["method"] in METHODS]
    return methods + [(policy, meaning) for policy, meaning in POLICIES.items() if policy in used]


def _figure(name: str, figure: go.Figure) -> dict[str, str]:
    title, caption = FIGURES.get(name, (name, ""))
    # A fixed id, so that the same results give the same file.
    ident = "figure-" + re.sub(r"\W", "-", name)
    config = {"responsive": True, "displaylogo": False, "displayModeBar": False}
    html = to_html(figure, config=config, full_html=False, include_plotlyjs=False, div_id=ident)
    return {"title": title, "caption": caption, "html": Markup(html)}


def _number(value: float | None, form: str = ",") -> str:
    return Markup("&ndash;") if value is None else f"{value:{form}}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _points(share: float) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    return Markup(f"{100 * share:+.1f}".replace("-", "&minus;"))
