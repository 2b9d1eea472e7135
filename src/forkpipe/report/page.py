"""The report: one HTML file that holds its figures and the code that draws them, so it opens offline and prints.

The page is the Jinja2 template `report.html` with the style sheet `report.css`. Whatever comes from data (names, texts,
reasons) is escaped; nothing is fetched.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
from markupsafe import Markup

from forkpipe.core.records import SPLITS
from forkpipe.core.statistics import wilson_interval
from forkpipe.evaluation.differences import paired_differences
from forkpipe.evaluation.metrics import budget_warning, headline
from forkpipe.evaluation.samples import by_seed
from forkpipe.generation.set_totals import of_both
from forkpipe.parameters import EvaluationSettings
from forkpipe.parameters.methods import COMPARED
from forkpipe.report.figures.registry import FIGURES
from forkpipe.report.findings import explanations, first_sentences, rivals
from forkpipe.report.style import VERDICT_COLOURS, Drawing

TEMPLATE = "report.html"
STYLE = "report.css"
TITLE = "forkpipe: comparison of methods"
LINE = 200
"""Characters of a sample text that are shown before it is opened."""
PACKAGES = ("forkpipe", "kedro", "torch", "transformers", "trl", "math-verify")
POLICIES = {
    "mixed": "samples of all tags pooled (of a method with one plain tag, simply its samples)",
    "best_tag": "one tag for all problems, the most accurate on validation",
    "covering_tag": "one tag for all problems, the one that training matched with the most teachers",
    "own": "the model writes its own tag",
    "native": "one sample under each tag",
    "none": "asked without a tag",
}


def make_report(
    comparison: pa.Table,
    scores: pa.Table,
    training_logs: pa.Table,
    matchings: pa.Table,
    sample_texts: Sequence[Mapping[str, Any]],
    problems: pa.Table,
    tag_information: dict[str, Any],
    strategy_agreement: dict[str, Any] | None,
    generation_report: pa.Table,
    environment: str,
    seed: int,
    settings: EvaluationSettings,
    missing_methods: Mapping[str, str] | None = None,
    trace_set_totals: Mapping[str, Any] | None = None,
    title: str = TITLE,
    versions: Mapping[str, str] | None = None,
    **figures: Any,
) -> str:
    """Return the report as one self-contained HTML document.

    Args:
        comparison, problems, generation_report: the tables of these names.
        scores, training_logs, matchings: the tables of all methods in one, for differences and explanations.
        sample_texts: result of `evaluation.sample_texts.sample_texts`.
        tag_information: result of `evaluation.tag_information.tag_information`.
        strategy_agreement: problems (how many were compared), v_measure and adjusted_rand.
        seed: of the run, also of the bootstrap.
        settings: for the number of bootstrap resamples, and the limit of evaluated problems.
        missing_methods: method -> why it has no row.
        trace_set_totals: result of `generation.set_totals.compared`; None for sets that were made elsewhere.
        versions: package -> version, for the footer; None for those of `PACKAGES` as installed.
        **figures: each figure of the registry, as `figure_{name}`.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    versions = versions or {name: version(name) for name in PACKAGES}
    counts = Counter(problems.column("split").to_pylist())
    rows, labeler = headline(comparison), tag_information["labeler"]
    seeds = [trained for trained in by_seed(scores) if trained is not None]
    compare = partial(paired_differences, [scores], comparison, resamples=settings.bootstrap, seed=seed)
    shown = {
        name: _figure(name, figures[f"figure_{name}"])
        for name, figure in FIGURES.items()
        if figures[f"figure_{name}"].data or not figure.optional
    }
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"number": _number, "percent": _percent, "points": _points, "begin": _begin}
    return templates.get_template(TEMPLATE).render(
        style=STYLE,
        title=title,
        environment=environment,
        seed=seed,
        seeds=seeds,
        problem_counts=", ".join(f"{counts[split]:,} {split}" for split in SPLITS if counts[split]),
        limit=settings.limit,
        tested=counts["test"],
        rows=rows,
        samples=" or ".join(f"{n:,}" for n in sorted({row["n_samples"] for row in rows})),
        missing=missing_methods or {},
        k=next((row["k"] for row in rows if row["k"] is not None), "N"),
        glossary=_glossary(rows),
        summary=first_sentences(rows, compare(pairs=rivals(rows))),
        explanations=explanations(scores, training_logs, matchings),
        sample_texts=sample_texts,
        verdict_colours=VERDICT_COLOURS,
        lead=shown.pop("comparison"),
        verdicts=shown.pop("verdicts"),
        figures=list(shown.values()),
        differences=compare(),
        warning=budget_warning(comparison),
        notes=_notes(rows),
        generation=generation_report.to_pylist(),
        trace_sets=of_both(trace_set_totals) if trace_set_totals else "",
        tag_rows=[
            (method, source, _over_seeds(row))
            for source, key in (("matching", "matching"), ("test texts", "generations"))
            for method, row in tag_information[key].items()
            if row["mutual_information_bits"] is not None
        ],
        labeler=labeler,
        labeler_interval=_labeler_interval(labeler),
        strategy_agreement=strategy_agreement if strategy_agreement and strategy_agreement["problems"] else None,
        versions=", ".join(f"{name} {number}" for name, number in versions.items()),
        plotly_js=Markup(get_plotlyjs()),
    )


def _over_seeds(association: Mapping[str, Any]) -> dict[str, Any]:
    """Return an association of tags, its figures averaged over training seeds; `n` counts the traces of all."""
    parts = association.get("seeds") or [association]
    names = ("mutual_information_bits", "chance_bits", "purity")
    means = {name: fmean(part[name] for part in parts if part[name] is not None) for name in names}
    return means | {"n": sum(part["n"] for part in parts)}


def _glossary(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return the methods and policies of the headline with what they mean."""
    used = {row[name] for row in rows for name in ("policy", "cons_n_policy", "pass_n_policy")}
    methods = [(row["method"], COMPARED[row["method"]].caption) for row in rows if row["method"] in COMPARED]
    return methods + [(policy, meaning) for policy, meaning in POLICIES.items() if policy in used]


def _notes(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return (methods, note) of the headline: what has to be said beside the figures of these methods."""
    by_note: dict[str, list[str]] = {}
    for row in rows:
        for note in row["notes"]:
            by_note.setdefault(note, []).append(row["method"])
    return [
        ("all methods" if len(methods) == len(rows) else ", ".join(methods), note) for note, methods in by_note.items()
    ]


def _figure(name: str, figure: Drawing) -> dict[str, str]:
    from plotly.io import to_html

    # A fixed id, so that the same results give the same file.
    ident = "figure-" + re.sub(r"\W", "-", name)
    config = {"responsive": True, "displaylogo": False, "displayModeBar": False}
    html = to_html(figure, config=config, full_html=False, include_plotlyjs=False, div_id=ident)
    return {
        "title": FIGURES[name].title,
        "caption": FIGURES[name].caption,
        "html": Markup(html),
        "ident": f"about-{ident}",
    }


def _labeler_interval(labeler: Mapping[str, Any]) -> tuple[float, float] | None:
    if labeler["held_out_accuracy"] is None:
        return None
    total = labeler["n_held_out_traces"]
    return wilson_interval(round(labeler["held_out_accuracy"] * total), total)


def _begin(text: str) -> str:
    """Return the beginning of a text in one line."""
    line = " ".join(text[: 2 * LINE].split())
    return line if len(line) <= LINE else f"{line[:LINE]}\u2026"


def _number(value: float | None, form: str = ",") -> str:
    return Markup("&ndash;") if value is None else f"{value:{form}}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _points(share: float) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    return Markup(f"{100 * share:+.1f}".replace("-", "&minus;"))
