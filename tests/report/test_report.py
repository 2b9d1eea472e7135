"""Figures and the report over a small synthetic evaluation of all five methods."""

import html
import html.parser
import re

import pyarrow.compute as pc
import pytest
from plotly.offline import get_plotlyjs
from small_evaluation import METHODS, report_of, synthetic, table

from forkpipe.parameters import EvaluationSettings
from forkpipe.report.figures.registry import FIGURES, make_figures
from forkpipe.report.style import METHOD_COLOURS, colour_of


@pytest.fixture(scope="module")
def inputs():
    return synthetic()


@pytest.fixture(scope="module")
def figures(inputs):
    return make_figures(**inputs)


@pytest.fixture(scope="module")
def report(inputs, figures):
    return report_of(inputs, figures)


def test_a_method_that_is_missing_is_named_with_the_reason(inputs, figures, report):
    assert "fork_rl is missing" not in report
    made = report_of(inputs, figures, missing_methods={"fork_rl": "CUDA out of memory <b>"})
    assert "fork_rl is missing: CUDA out of memory &lt;b&gt;" in made


def test_every_figure_has_data_axes_and_a_caption(figures):
    assert set(figures) == set(FIGURES)
    for name, figure in figures.items():
        if FIGURES[name].optional:
            continue
        assert figure.data, name
        assert any(axis.title.text for axis in figure.select_xaxes()), name
        assert figure.layout.height, name


def test_a_method_has_one_colour_everywhere(figures):
    """The headline dots and the tags' bars of ssft have the colour of ssft."""
    assert len({*METHOD_COLOURS.values()}) == len(METHOD_COLOURS)
    dots = {trace.marker.color for trace in figures["comparison"].data if trace.y == ("ssft",)}
    assert dots == {colour_of("ssft")}
    bars = {trace.marker.color for trace in figures["tags"].data if trace.type == "bar" and not trace.name}
    assert bars == {colour_of("ssft_random"), colour_of("ssft"), colour_of("gfpo")}


def test_the_comparison_shows_value_and_interval(inputs, figures):
    row = next(r for r in inputs["comparison"].to_pylist() if (r["method"], r["protocol"]) == ("grpo", "pass@1"))
    dot = next(trace for trace in figures["comparison"].data if trace.y == ("grpo",))
    assert dot.x == (row["value"],)
    assert dot.error_x.array[0] == pytest.approx(row["high"] - row["value"])
    assert dot.error_x.arrayminus[0] == pytest.approx(row["value"] - row["low"])


def test_the_funnel_counts_each_stage_once(inputs, figures):
    """Six problems with three traces each; strategies and traces in sets are the correct ones here."""
    bar = figures["funnel"].data[0]
    correct = inputs["verdicts"]["verdict"].to_pylist().count("correct")
    assert list(bar.y)[:3] == ["problems", "traces", "correct traces"]
    assert list(bar.x) == [18, 18, correct, correct, correct, 6]


def test_strategies_are_counted_by_problem_and_one_problem_is_shown(inputs):
    """Problem a has strategies 0 and 1, both in its set; b has three, two in its set; c has one and no set."""
    found = [("a", 0), ("a", 1), ("a", 1), ("b", 0), ("b", 1), ("b", 2), ("c", 0)]
    texts = ["We add <b>7</b>.", "By symmetry, $9 = 3^2$.", "By symmetry again."] + ["2 sq 4"] * 4
    rows = [
        {
            "trace_id": str(n), "problem_id": problem, "strategy": strategy, "distance": 0.0, "representative": n != 2,
            "teacher": f"t{n}", "text": text, "status": "done",
        }
        for n, ((problem, strategy), text) in enumerate(zip(found, texts, strict=True))
    ]  # fmt: skip
    sets = [
        {
            "problem_id": problem,
            "problem": "Find it.",
            "traces": [row for row in rows if row["problem_id"] == problem][:2],
        }
        for problem in "ab"
    ]
    keep = ("trace_id", "teacher", "text", "strategy")
    for held in sets:
        held["traces"] = [{**{name: row[name] for name in keep}, "tokens": 1} for row in held["traces"]]
    tables = {"traces": table("traces", rows), "strategies": table("strategies", rows)}
    figure = make_figures(**{**inputs, **tables, "trace_sets": table("trace_sets", sets)})["strategies"]
    correct, kept, example = figure.data
    assert dict(zip(correct.x, correct.y, strict=True)) == {1: 1, 2: 1, 3: 1}
    assert dict(zip(kept.x, kept.y, strict=True)) == {2: 2}
    assert list(example.header.values) == [
        "<b>strategy 0: 1 of 3</b><br>t0 x 1", "<b>strategy 1: 2 of 3</b><br>t1 x 1, t2 x 1",
    ]  # fmt: skip
    first, second = example.cells["values"]
    assert "&lt;b>7&lt;/b>" in first[0]
    assert second[0].startswith("By symmetry, &#36;9 = 3^2&#36;.  [")
    assert "symmetry" in second[0].split("[")[1]


def test_empty_tables_are_said_to_be_empty(inputs):
    bare = {**inputs, **{name: inputs[name].slice(0, 0) for name in ("matchings", "training_logs", "rejected")}}
    bare["scores"] = inputs["scores"].filter(pc.field("method") == "sft")
    bare["trace_sets"] = inputs["trace_sets"].slice(0, 0)
    figures = make_figures(**bare)
    for name in ("matching", "training", "rejected", "tags", "strategies"):
        assert re.search("No |Nothing", figures[name].layout.annotations[0].text)


def test_report_holds_methods_differences_budgets_and_captions(report):
    for method in METHODS:
        assert f'<td class="text">{method}</td>' in report
    for pair in ("gfpo (own) &minus; grpo (mixed)", "ssft (best_tag) &minus; sft (mixed)", "ssft_random (best_tag)"):
        assert pair in report
    text = html.unescape(report)
    for figure in FIGURES.values():
        assert (f">{figure.title}</h" in report) != figure.optional
        assert (figure.caption in text) != figure.optional
    assert "Budgets were not equal: validation rollouts spent on choosing a best tag" in report
    assert "Variance over training seeds is <strong>not</strong> in them" in " ".join(report.split())
    assert "6 train, 6 validation, 6 test" in report
    assert "adjusted rand" in report


def test_report_says_when_budgets_were_equal(inputs, figures):
    rows = [row for row in inputs["comparison"].to_pylist() if row["method"] in ("sft", "grpo")]
    assert "All budgets were equal" in report_of({**inputs, "comparison": table("comparison", rows)}, figures)


def test_report_says_beside_its_figures_what_they_hide(inputs):
    rows = inputs["comparison"].to_pylist()
    for row in rows:
        row["note"] = "public tests only"
        if row["protocol"].startswith("cons@"):
            row |= {"value": None, "low": None, "high": None, "note": "public tests only; no vote over programs"}
    noted = inputs | {"comparison": table("comparison", rows)}
    drawn = make_figures(**noted)
    titles = [title.text for title in drawn["comparison"].layout.annotations]
    assert [title.endswith(": no vote over programs") for title in titles] == [False, True, False]
    page = report_of(noted, drawn)
    assert "all methods: public tests only." in page
    assert "all methods: no vote over programs." in page
    headlines = page.split(">Headline</h2>")[1].split("</table>")[0]
    assert headlines.count("&ndash;") == len({row["method"] for row in rows})


def test_report_says_what_teachers_took_and_gave(inputs, figures):
    rows = [
        {
            "teacher": "<i>a",
            "requests": 1200,
            "kept": 40,
            "tokens_per_kept": 80.4,
            "price": 1.5,
            "price_per_kept": 0.0375,
        },
        {"teacher": "b", "requests": 10},
    ]
    page = report_of(inputs, figures, generation_report=table("generation_report", rows))
    first, second = re.findall(r"<tr><td class=\"text\">(?:&lt;i&gt;a|b)</td>(.*?)</tr>", page)
    assert re.findall(r"<td>(.*?)</td>", first) == ["1,200", "0", "0", "0", "0", "40", "0", "0", "80", "1.5", "0.0375"]
    assert re.findall(r"<td>(.*?)</td>", second)[-3:] == ["&ndash;"] * 3


def test_report_compares_both_ways_to_select_sets(inputs, figures):
    sets = {"sets": 3, "traces": 8, "of_traces": {"2": 1, "3": 2}, "of_strategies": {"1": 3}}
    none = {"sets": 0, "traces": 0, "of_traces": {}, "of_strategies": {}}
    totals = {"select": "teachers", "problems": 5, "by_teacher": sets, "by_strategy": none}
    page = report_of(inputs, figures, trace_set_totals=totals)
    assert (
        "Trace sets: select teachers gave 3 sets (1 of 2 traces, 2 of 3) with 8 traces; 3 of 1 strategy; by strategy "
        "(trace_sets.select divergent) there would be 0 sets.</p>"
    ) in page
    assert "Trace sets:" not in report_of(inputs, figures)


def test_report_says_that_a_part_was_evaluated(inputs, figures):
    settings = EvaluationSettings(bootstrap=100, limit=2)
    tested = sum(split == "test" for split in inputs["problems"]["split"].to_pylist())
    assert f"of {tested} (evaluation.limit is 2), with" in report_of(inputs, figures, settings=settings)
    assert "evaluation.limit" not in report_of(inputs, figures)


def test_report_escapes_text(report):
    assert "<h1>A &amp; &lt;b&gt;B&lt;/b&gt;</h1>" in report
    assert "smoke&lt;x&gt;" in report
    assert "torch 2&lt;3" in report
    assert "<script>alert" not in report
    assert "<i>cycle" not in report


def test_report_is_one_file_that_fetches_nothing(report):
    """No element refers to another file, links stay on the page, and plotly.js is in it once."""

    found = []

    class Links(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            found.extend((name, value) for name, value in attrs if name in ("src", "href", "id"))

    Links().feed(report)
    ids = [value for name, value in found if name == "id"]
    assert {(name, value) for name, value in found if name != "id"} <= {("href", f"#{ident}") for ident in ids}
    assert len(ids) == len({*ids})
    assert report.count(get_plotlyjs()[:300]) == 1
    assert len(report) < 6_000_000


def test_the_same_results_give_the_same_report(inputs, figures, report):
    assert report_of(inputs, figures) == report


def test_teachers_of_unknown_strategies_give_a_report_too(inputs, figures):
    """Nobody knows which strategies a user's own teachers follow: then there is no agreement to report."""
    unknown = {"problems": 0, "v_measure": None, "adjusted_rand": None}
    page = report_of(inputs, figures, agreement=unknown)
    assert "Agreement of the strategies" not in page
