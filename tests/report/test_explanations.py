"""What explains low scores: first sentences, verdicts, sample texts, phases without a signal, noise of the matching."""

import html

import pyarrow as pa
import pytest
from small_evaluation import report_of, synthetic, table

from forkpipe.core.schemas import SCHEMAS
from forkpipe.evaluation.sample_texts import MOST_CHARACTERS, sample_texts
from forkpipe.evaluation.samples import verdict_counts
from forkpipe.report.figures.registry import FIGURES, make_figures
from forkpipe.report.findings import drawn_by_chance, explanations, first_sentences, phases_without_signal, rivals

HOSTILE = '</pre><script>alert("x")</script> & {{ 7 * 7 }} Lösung: 數學 \u202eabc\u0000 $x$'


def scores_of(*rows):
    """Scored samples from (method, policy, tag, problem, sample, verdict)."""
    names = ("method", "policy", "tag", "problem_id", "sample", "verdict")
    return table("scores", [{"split": "test", **dict(zip(names, row, strict=True))} for row in rows])


def texts_of(method, *rows):
    """Generations from (policy, tag, problem, sample, text)."""
    names = ("policy", "tag", "problem_id", "sample", "text")
    return table(
        "generations",
        [
            {"method": method, "split": "test", "finish_reason": "stop", **dict(zip(names, row, strict=True))}
            for row in rows
        ],
    )


def head(method, value, low, high):
    return {"method": method, "pass_1": value, "pass_1_low": low, "pass_1_high": high, "n_problems": 1200}


def difference(a, b, value, low, high):
    return {"a": a, "b": b, "value": value, "low": low, "high": high}


def test_the_first_sentences_say_which_method_by_how_much_and_how_sure():
    rows = [head("base", 0.1, 0.08, 0.13), head("sft", 0.5, 0.45, 0.55), head("ssft", 0.61, 0.58, 0.64)]
    assert rivals(rows) == [("ssft", "base"), ("ssft", "sft")]
    differences = [difference("ssft", "base", 0.51, 0.48, 0.54), difference("ssft", "sft", 0.01, -0.02, 0.04)]
    assert first_sentences(rows, differences) == [
        "ssft is the most accurate with a single sample: 61.0 % of 1,200 test problems (95 % interval 58.0 to 64.0 %).",
        "It is 51.0 points above the untrained model (base) (95 % interval +48.0 to +54.0).",
        "Whether it is above sft is open: the difference is +1.0 points (95 % interval \u22122.0 to +4.0).",
        "All of this is from one training seed; another one may change the order of close methods.",
    ]


def test_several_seeds_are_counted():
    rows = [
        head("ssft", 0.61, 0.58, 0.64) | {"n_seeds": 3, "pass_1_seeds": (0.5, 0.72)},
        head("sft", 0.5, 0.45, 0.55) | {"n_seeds": 3},
    ]
    gaps = difference("ssft", "sft", 0.11, 0.08, 0.14) | {"seeds": [0.2, 0.13, 0.0]}
    assert first_sentences(rows, [gaps]) == [
        "ssft is the most accurate with a single sample: 61.0 % of 1,200 test problems (mean of 3 training seeds, 95 % "
        "interval 58.0 to 64.0 % over problems and 50.0 to 72.0 % over seeds).",
        "It is 11.0 points above sft (95 % interval +8.0 to +14.0; it is above with 2 of 3 training seeds).",
    ]


def test_the_untrained_model_may_be_the_best():
    rows = [head("base", 0.2, 0.1, 0.3), head("sft", 0.1, 0.05, 0.2)]
    assert rivals(rows) == [("base", "sft")]
    assert first_sentences(rows, [])[0].startswith("base is the most accurate")
    assert rivals(rows[:1]) == []


def test_nothing_solved_is_said_to_be_so_with_what_is_still_possible():
    (sentence,) = first_sentences([head("sft", 0.0, 0.0, 0.003), head("ssft", 0.0, 0.0, 0.003)], [])
    assert "No method solved any of 1,200 test problems" in sentence
    assert "0.0 to 0.3 %" in sentence
    assert first_sentences([], []) == ["No method was evaluated."]


def test_verdicts_are_counted_on_test_alone():
    scores = scores_of(("sft", "by_tag", -1, "p", 0, "wrong"), ("sft", "by_tag", -1, "p", 1, "correct"))
    other = table("scores", [{"method": "sft", "split": "validation", "policy": "by_tag", "verdict": "wrong"}])
    assert verdict_counts(pa.concat_tables([scores, other]), "method") == {("sft",): {"wrong": 1, "correct": 1}}


def test_what_stands_out_is_said():
    """sft: 3 of 4 samples truncated. ssft: nothing correct, 1 of 4 truncated. gfpo skipped 2 of 2 and 4 of 4 groups."""
    verdicts = ["truncated", "truncated", "truncated", "correct"], ["wrong", "wrong", "wrong", "truncated"]
    scores = scores_of(*(
        (method, "by_tag", -1, "p", sample, verdict)
        for method, given in zip(("sft", "ssft"), verdicts, strict=True)
        for sample, verdict in enumerate(given)
    ))  # fmt: skip
    logs = table("training_log", [
        {"method": "gfpo", "step": 1, "phase": "tags", "groups": 2, "groups_skipped": 2},
        {"method": "gfpo", "step": 2, "phase": "tags", "groups": 4, "groups_skipped": 4},
        {"method": "gfpo", "step": 3, "phase": "traces", "groups": 4, "groups_skipped": 3},
        {"method": "gfpo", "step": 4, "phase": "fold"},
        {"method": "sft", "step": 1},
    ])  # fmt: skip
    assert phases_without_signal(logs) == [("gfpo", "tags")]
    assert explanations(scores, logs, table("matching", [])) == [
        "Many test samples are truncated (cut by the token limit): sft 75%.",
        "Without a single correct test sample: ssft.",
        "All groups skipped: gfpo (phase tags). In each group all rollouts earned the same reward, so these phases had "
        "nothing to learn from.",
    ]
    assert phases_without_signal(logs.drop_columns("groups")) == []


def with_noise(matchings, noise):
    """The table with the column `margin_noise`, which tables of earlier versions lack."""
    held = [name for name in matchings.column_names if name != "margin_noise"]
    return matchings.select(held).append_column("margin_noise", pa.array(noise, pa.float64()))


def test_margins_below_their_noise_are_counted():
    """ssft: .1 and .3 above, .01 below the noise; the fourth has no margin. ssft_random has no margins."""
    rows = [{"method": "ssft", "margin": margin} for margin in (0.1, 0.3, 0.01, None)] + [{"method": "ssft_random"}]
    matchings = table("matching", rows)
    assert drawn_by_chance(matchings.select(["method", "margin"])) == {}
    noisy = with_noise(matchings, [0.02, 0.02, 0.02, 0.02, None])
    assert drawn_by_chance(noisy) == {"ssft": pytest.approx(1 / 3)}
    (sentence,) = explanations(scores_of(), table("training_log", []), noisy)
    assert "ssft 33% of the matched traces" in sentence


def test_sample_texts_are_the_first_under_each_tag_of_two_problems():
    """Of a half, a quarter and none of the samples correct, the half and the none are shown."""
    marks = {"half": "cw", "quarter": "cwww", "none": "ww"}
    scores, texts = [], []
    for problem, verdicts in marks.items():
        for sample, mark in enumerate(verdicts):
            scores.append(("sft", "by_tag", -1, problem, sample, "correct" if mark == "c" else "wrong"))
            texts.append(("by_tag", -1, problem, sample, f"sft {problem} {sample}"))
    tagged, own = (
        [("by_tag", tag, "none", s) for tag in (1, 0) for s in (0, 1)],
        [("own", 4 - s, "none", s) for s in range(3)],
    )
    scores += [("ssft", *place, "wrong") for place in tagged + own]
    generations = {
        "ssft": texts_of("ssft", *((*place, "ssft") for place in tagged + own)),
        "sft": texts_of("sft", *texts),
    }
    problems = table("problems", [{"problem_id": name, "problem": f"What is {name}?", "answer": "7"} for name in marks])
    half, none = sample_texts(generations, scores_of(*scores), problems)
    assert (half["problem"], half["answer"], half["correct"], half["total"]) == ("What is half?", "7", 1, 2)
    assert [row["text"] for row in half["samples"]] == ["sft half 0", "sft half 1"]
    assert none["problem_id"] == "none"
    assert [(row["method"], row["policy"], row["tag"], row["sample"]) for row in none["samples"]] == [
        ("sft", "by_tag", -1, 0), ("sft", "by_tag", -1, 1),
        ("ssft", "by_tag", 0, 0), ("ssft", "by_tag", 1, 0), ("ssft", "own", 4, 0), ("ssft", "own", 3, 1),
    ]  # fmt: skip
    assert sample_texts({}, scores_of(), problems) == []


def test_long_texts_lose_their_middle_and_say_so(inputs):
    text = "a" * MOST_CHARACTERS + "middle" + "z" * 10
    scores = scores_of(("sft", "by_tag", -1, "p", 0, "truncated"))
    problems = table("problems", [{"problem_id": "p"}])
    shown = sample_texts({"sft": texts_of("sft", ("by_tag", -1, "p", 0, text))}, scores, problems)
    (sample,) = shown[0]["samples"]
    assert sample["left_out"] == 16
    assert sample["text"].startswith("aaa")
    assert sample["text"].endswith("zzz")
    assert len(sample["text"]) == MOST_CHARACTERS + len("\n[...]\n")
    page = report_of({**inputs, "sample_texts": shown}, make_figures(**inputs))
    assert "16 characters of the middle are left out" in page


@pytest.fixture(scope="module")
def inputs():
    return synthetic()


def test_texts_of_models_are_shown_as_they_are(inputs):
    """HTML, template marks and signs of other scripts are text, whole behind the line that opens it."""
    sample = {
        "method": "<b>", "policy": "own", "tag": 1, "sample": 0, "verdict": "wrong", "extracted": "<7>", "tokens": 9,
        "finish_reason": "stop", "text": HOSTILE + " end" * 200, "left_out": 0,
    }  # fmt: skip
    problem = {"problem_id": "<p>", "problem": HOSTILE, "answer": "<&>", "correct": 0, "total": 3, "samples": [sample]}
    page = report_of({**inputs, "sample_texts": [problem]}, make_figures(**inputs))
    assert "<script>alert" not in page
    assert page.count(str(html.escape(HOSTILE).replace("&quot;", "&#34;"))) == 3  # problem, beginning, whole text
    assert page.count(" end end") > 100
    assert "&lt;b&gt;, tag 2 (its own)" in page
    assert "{{ 7 * 7 }}" in page


@pytest.mark.parametrize("methods", [{"sft": 0, "ssft": 0}, {"base": 0, "ssft": 0, "gfpo": 0}])
def test_scores_of_zero_give_a_report_that_says_why(methods):
    inputs = synthetic(methods)
    assert set(inputs["metrics"]["value"].to_pylist()) == {0.0}
    assert min(inputs["metrics"]["high"].to_pylist()) > 0.3  # six problems: z^2 / (6 + z^2) = .39
    page = " ".join(report_of(inputs, make_figures(**inputs)).split())
    assert "No method solved any of 6 test problems with a single sample (95 % interval 0.0 to 39.0 %)" in page
    assert "Many test samples are truncated" in page
    assert "0 of " in page


@pytest.mark.parametrize("methods", [{"base": 0.2, "ssft": 0.6}, {"sft": 0.5}, {"base": 0.3, "sft": 0.4, "grpo": 0.5}])
def test_any_methods_give_a_report(methods):
    inputs = synthetic(methods)
    figures = make_figures(**inputs)
    page = report_of(inputs, figures)
    for method in methods:
        assert f'<td class="text">{method}</td>' in page
        assert any(name.split(",")[0] == method for bar in figures["verdicts"].data for name in bar.y)
    assert set(figures) == set(FIGURES)


def test_tables_without_rows_give_figures_that_say_so():
    """A run of which nothing was sampled yet has empty tables."""
    empty = {"scores": SCHEMAS["scores"].empty_table(), "training_logs": SCHEMAS["training_log"].empty_table()}
    for name in ("verdicts", "training"):
        (table_name,) = FIGURES[name].inputs
        assert "No " in FIGURES[name].draw(empty[table_name]).layout.annotations[0].text
