"""Figures and the report over a small synthetic evaluation of all five methods."""

import html
import html.parser
import random
import re

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from plotly.offline import get_plotlyjs

from forkpipe.core.schemas import SCHEMAS
from forkpipe.evaluation.metrics import compare, compute_metrics
from forkpipe.evaluation.tag_information import tag_information
from forkpipe.parameters import EvaluationSettings
from forkpipe.report.figures.registry import FIGURES, make_figures
from forkpipe.report.page import make_report
from forkpipe.report.style import METHOD_COLOURS, colour_of

TEACHERS = ("peasant", "cycle", "<script>alert(1)</script>")
METHODS = {"sft": 0.5, "ssft_random": 0.5, "ssft": 0.6, "grpo": 0.7, "gfpo": 0.75}


def table(name, rows):
    """Return rows as a table of a schema, columns that are not given filled with zeros."""
    zero = {pa.string(): "", pa.int64(): 0, pa.float64(): 0.0, pa.bool_(): False}
    full = [
        {
            field.name: row.get(field.name, None if field.nullable else zero.get(field.type, []))
            for field in SCHEMAS[name]
        }
        for row in rows
    ]
    return pa.Table.from_pylist(full, schema=SCHEMAS[name])


def synthetic(problems=6, samples=3, n=3, steps=40, seed=0):
    """Return every input of the report: tags of ssft specialise, those of ssft_random do not."""
    rng = random.Random(seed)
    scores, generations, splits = [], {}, ("validation", "test")
    for method, accuracy in METHODS.items():
        tags = [-1] if method in ("sft", "grpo") else list(range(n))
        cells = [("by_tag", tag, s) for tag in tags for s in range(samples if len(tags) > 1 else samples * n)]
        cells += [("own", rng.randrange(n), s) for s in range(samples)] if method == "gfpo" else []
        rows = []
        for split in splits:
            for p in range(problems):
                for policy, tag, s in cells:
                    special = method in ("ssft", "gfpo") and tag == 1
                    correct = rng.random() < min(1.0, accuracy + 0.2 * special)
                    teacher = TEACHERS[tag % 3 if method in ("ssft", "gfpo") else rng.randrange(3)]
                    rows.append({
                        "method": method, "problem_id": f"{split}{p}", "split": split, "policy": policy, "tag": tag,
                        "sample": s, "verdict": "correct" if correct else rng.choice(["wrong", "wrong", "truncated"]),
                        "extracted": str(rng.randrange(4)), "tokens": rng.randrange(10, 30) + 8 * special,
                        "text": f"{teacher} says {rng.randrange(9)}",
                    })  # fmt: skip
        scores.append(table("scores", rows))
        generations[method] = table("generations", rows)
    train = [f"train{p}" for p in range(problems)]
    traces = [
        {"trace_id": f"{p}/{t}", "problem_id": p, "teacher": t, "text": f"{t} says 1", "tokens": 9, "strategy": i,
         "status": "done", "verdict": rng.choices(["correct", "wrong", "unparsed", "truncated"], [8, 2, 1, 1])[0]}
        for p in train for i, t in enumerate(TEACHERS)
    ]  # fmt: skip
    correct = [trace for trace in traces if trace["verdict"] == "correct"]
    kept = ("trace_id", "teacher", "text", "strategy", "tokens")
    sets = [
        {"problem_id": p, "split": "train",
         "traces": [{name: t[name] for name in kept} for t in correct if t["problem_id"] == p]}
        for p in train
    ]  # fmt: skip
    matchings, logs = {}, {}
    for method in METHODS:
        rl = method in ("grpo", "gfpo")
        logs[method] = table("training_log", [
            {"method": method, "step": s, "loss": 3 / (1 + s / steps * 9) + rng.random() / 5,
             **({"reward": 0.5 + 0.3 * s / steps + rng.random() / 9, "entropy": 1.5 - s / steps} if rl else {})}
            for s in range(steps)
        ])  # fmt: skip
        if method.startswith("ssft"):
            matchings[method] = table("matching", [
                {"method": method, "step": s, "visit": s // problems, "problem_id": train[s % problems],
                 "trace_id": f"{s}{t}", "teacher": t, "margin": 0.02 + 0.4 * (s / steps) * (method == "ssft"),
                 "tag": i if method == "ssft" and rng.random() < s / steps else rng.randrange(n)}
                for s in range(steps) for i, t in enumerate(TEACHERS)
            ])  # fmt: skip
    metrics = compute_metrics(scores, ks=[1, 2, 3, 6], seed=0)
    budgets = {m: {"tokens_trained": 9000, "rollouts": 400 * (m in ("grpo", "gfpo"))} for m in METHODS}
    spent = dict.fromkeys(METHODS, problems * samples * n)
    all_problems = [
        {"problem_id": f"{split}{p}", "split": split} for split in ("train", *splits) for p in range(problems)
    ]
    rejected = [{"stage": "verify", "id": t["trace_id"], "reason": t["verdict"]} for t in traces if t not in correct]
    return {
        "comparison": table("comparison", compare(metrics, budgets, spent)),
        "metrics": table("metrics", metrics),
        "scores": pa.concat_tables(scores),
        "tag_information": tag_information(
            table("trace_sets", sets), matchings, generations, {"cycle": "<i>cycle</i>"}
        ),
        "matchings": pa.concat_tables(list(matchings.values())),
        "training_logs": pa.concat_tables(list(logs.values())),
        "problems": table("problems", all_problems),
        "traces": table("traces", traces),
        "verdicts": table("verdicts", traces),
        "strategies": table("strategies", correct),
        "trace_sets": table("trace_sets", sets),
        "rejected": table("rejected", rejected or []),
    }


def report_of(inputs, figures, agreement=None, **options):
    shared = {name: inputs[name] for name in ("comparison", "scores", "problems", "tag_information")}
    options = {"title": "A & <b>B</b>", "environment": "smoke<x>", "versions": {"torch": "2<3"}} | options
    agreement = agreement or {"v_measure": 0.9, "adjusted_rand": 0.8, "problems": 6}
    options.setdefault("generation_report", table("generation_report", []))
    drawn = {f"figure_{name}": figure for name, figure in figures.items()}
    settings = EvaluationSettings(bootstrap=100)
    return make_report(strategy_agreement=agreement, seed=0, settings=settings, **shared, **options, **drawn)


@pytest.fixture(scope="module")
def inputs():
    return synthetic()


@pytest.fixture(scope="module")
def figures(inputs):
    return make_figures(**inputs)


@pytest.fixture(scope="module")
def report(inputs, figures):
    return report_of(inputs, figures)


def test_every_figure_has_data_axes_and_a_caption(figures):
    assert set(figures) == set(FIGURES)
    for name, figure in figures.items():
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
    for title, caption in ((figure.title, figure.caption) for figure in FIGURES.values()):
        assert title in report
        assert caption in text
    assert "Budgets were not equal: validation rollouts spent on choosing a best tag" in report
    assert "Variance over training seeds is <strong>not</strong> in them" in report
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
    assert "0.0<small>" not in page.split("<h2>Headline</h2>")[1].split("</table>")[0]


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


def test_report_escapes_text(report):
    assert "<h1>A &amp; &lt;b&gt;B&lt;/b&gt;</h1>" in report
    assert "smoke&lt;x&gt;" in report
    assert "torch 2&lt;3" in report
    assert "<script>alert" not in report
    assert "<i>cycle" not in report


def test_report_is_one_file_that_fetches_nothing(report):
    """No element refers to another file, and plotly.js is in it once."""

    found = []

    class Links(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            found.extend((tag, name, value) for name, value in attrs if name in ("src", "href"))

    Links().feed(report)
    assert found == []
    assert report.count(get_plotlyjs()[:300]) == 1
    assert len(report) < 6_000_000


def test_the_same_results_give_the_same_report(inputs, figures, report):
    assert report_of(inputs, figures) == report


def test_teachers_of_unknown_strategies_give_a_report_too(inputs, figures):
    """Nobody knows which strategies a user's own teachers follow: then there is no agreement to report."""
    unknown = {"problems": 0, "v_measure": None, "adjusted_rand": None}
    page = report_of(inputs, figures, agreement=unknown)
    assert "Agreement of the strategies" not in page
