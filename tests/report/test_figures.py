"""What single figures show, by hand, and labels that do not overlap."""

import pyarrow as pa
import pytest
from small_evaluation import synthetic, table

from forkpipe.core.statistics import mean_interval
from forkpipe.report.figures.registry import FIGURES, make_figures
from forkpipe.report.figures.tags import TAGS_A_LINE
from forkpipe.report.style import blocks, name_axis, plain

LONG = ("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B-with-a-long-name-<b>" + "x" * 60, "a teacher & another")


@pytest.fixture(scope="module")
def inputs():
    return synthetic()


def scores_of(*rows):
    """Scored samples from (method, policy, tag, problem, sample, verdict)."""
    names = ("method", "policy", "tag", "problem_id", "sample", "verdict")
    return table("scores", [{"split": "test", "tokens": 5, **dict(zip(names, row, strict=True))} for row in rows])


def test_verdicts_are_shares_of_each_method_and_way_of_sampling():
    scores = scores_of(
        ("sft", "by_tag", -1, "p", 0, "correct"), ("sft", "by_tag", -1, "p", 1, "truncated"),
        ("ssft", "by_tag", 0, "p", 0, "wrong"), ("ssft", "by_tag", 1, "p", 0, "truncated"),
        ("ssft", "own", 1, "p", 0, "truncated"),
    )  # fmt: skip
    bars = {bar.name: bar for bar in FIGURES["verdicts"].draw(scores).data}
    assert list(bars) == ["correct", "wrong", "truncated"]
    assert bars["truncated"].y == ("sft", "ssft, each tag forced", "ssft, its own tag")
    assert bars["truncated"].x == (0.5, 0.5, 1.0)
    assert [list(pair) for pair in bars["truncated"].customdata] == [[1, 2], [1, 2], [1, 1]]


def test_a_tag_shows_its_accuracy_and_what_it_solves_at_least_once():
    """Tag 1 solves p in one of two samples and q in none: accuracy 1/4, half of the problems solved once."""
    rows = [("p", 0, "correct"), ("p", 1, "wrong"), ("q", 0, "wrong"), ("q", 1, "truncated")]
    scores = scores_of(*(("ssft", "by_tag", tag, p, s, v) for tag in (0, 1) for p, s, v in rows))
    told = {"labels": ["a", "b"], "generations": {"ssft": {"counts": [[3, 1], [0, 0]]}}}
    figure = FIGURES["tags"].draw(scores, told)
    accuracy, solved = figure.data[:2]
    assert accuracy.y == (0.25, 0.25)
    assert accuracy.error_y.array[0] == pytest.approx(mean_interval([0.5, 0.0])[1] - 0.25)
    assert solved.y == (0.5, 0.5)
    (cells,) = (trace for trace in figure.data if trace.type == "heatmap")
    assert [list(row) for row in cells.text] == [["75%<br>3", "0"], ["25%<br>1", "0"]]
    assert {bar.name: bar.y for bar in figure.data if bar.name}["truncated"] == (0.25, 0.25)


def test_the_covering_tag_is_the_strong_bar():
    """Tag 1 has traces of a and b at the end (it got b late), tag 2 two traces of a."""
    rows = [
        {"method": "ssft", "problem_id": p, "trace_id": f"{p}{t}", "visit": s, "teacher": t, "tag": tag, "step": s}
        for p, t, s, tag in (("p", "b", 0, 1), ("p", "a", 1, 0), ("p", "b", 1, 0), ("q", "a", 2, 1), ("r", "a", 3, 1))
    ]
    information = {"labels": ["a", "b"], "matching": {"ssft": {"tags": [0, 1], "counts": [[1, 1], [2, 0]]}}}
    bars, cells = FIGURES["coverage"].draw(information, table("matching", rows)).data
    assert list(bars.y) == [2, 2]
    assert bars.text == ("2 of 2", "1 of 2")
    assert bars.marker.color[0].startswith("#")
    assert bars.marker.color[1].startswith("rgba")
    assert [list(row) for row in cells.text] == [["50%<br>1", "100%<br>2"], ["50%<br>1", "0"]]


def test_losses_and_entropies_are_drawn_apart():
    """gfpo trains the tag in step 1 (no token of a completion) and traces in step 2."""
    logs = table("training_log", [
        {"method": "ssft", "step": 1, "loss": 5.0, "trace_loss": 2.0, "tag_loss": 3.0, "tokens": 9},
        {"method": "gfpo", "step": 1, "phase": "tags", "reward": 0.0, "entropy": 1.5, "groups": 2, "groups_skipped": 2},
        {"method": "gfpo", "step": 2, "phase": "traces", "reward": 0.5, "entropy": 0.25, "groups": 4,
         "groups_skipped": 1, "tokens": 7},
    ])  # fmt: skip
    figure = FIGURES["training"].draw(logs)
    titles = [note.text for note in figure.layout.annotations]
    panels = ["Trace loss", "Tag loss", "Reward", "Groups skipped", "Entropy of tags", "Entropy of tokens"]
    assert titles == [*panels, "all groups skipped:<br>gfpo, phase tags"]
    # Each curve is drawn twice, thin and smoothed.
    values = [list(trace.y) for trace in figure.data][1::2]
    assert values == [[2.0], [3.0], [0.0, 0.5], [1.0, 0.25], [1.5], [0.25]]


def test_margins_are_drawn_with_their_noise_where_it_was_measured(inputs):
    held = [name for name in inputs["matchings"].column_names if name != "margin_noise"]
    plain_table = inputs["matchings"].select(held)
    names = {trace.name for trace in FIGURES["matching"].draw(inputs["tag_information"], plain_table).data if trace.y}
    assert not any("noise" in name for name in names)
    noise = pa.array([0.05] * plain_table.num_rows, pa.float64())
    figure = FIGURES["matching"].draw(inputs["tag_information"], plain_table.append_column("margin_noise", noise))
    (line,) = (trace for trace in figure.data if trace.name == "ssft, noise of its costs")
    assert set(line.y) == {0.05}
    assert line.line.dash == "dot"


def test_names_are_shortened_and_shown_as_they_are():
    axis = name_axis([LONG[0], "x<y"])
    assert axis["tickvals"] == [LONG[0], "x<y"]
    assert axis["ticktext"] == ["deepseek-ai/De" + "…" + "x" * 13, "x&lt;y"] or len(axis["ticktext"][0]) == 28
    assert plain("a$b") == "a&#36;b"
    assert plain("abcdefgh", 5) == "ab…gh"
    assert plain("abcde", 5) == "abcde"


def test_many_tags_and_long_names_leave_room_for_labels():
    """40 tags and a teacher with a name of 121 characters."""
    inputs = synthetic({"sft": 0.5, "ssft_random": 0.5, "ssft": 0.6}, teachers=LONG, n=40, problems=2, samples=1)
    figures = make_figures(**inputs)
    for name in ("tags", "coverage"):
        axes = [axis for axis in figures[name].select_xaxes() if axis.tickvals]
        assert axes
        assert all(len(axis.tickvals) <= TAGS_A_LINE for axis in axes)
        blocks_beside = {axis.anchor: tuple(axis.domain) for axis in axes}
        assert {*blocks_beside.values()} == {(0.0, 1.0)}  # one method a line
        assert all(trace.texttemplate is None for trace in figures[name].data if trace.type == "heatmap")
    for figure in figures.values():
        for axis in figure.select_yaxes():
            assert all(len(str(text)) <= 60 for text in axis.ticktext or ())


def test_many_ks_leave_room_for_labels():
    rows = [
        {"method": "sft", "split": "test", "protocol": f"pass@{k}", "policy": "mixed", "k": k, "value": 0.5, "low": 0.4,
         "high": 0.6}
        for k in range(1, 101)
    ]  # fmt: skip
    ticks = FIGURES["pass_at_k"].draw(table("metrics", rows)).layout.xaxis.tickvals
    assert ticks[:4] == (1, 2, 3, 4)
    assert len(ticks) <= 25
    single = [{**rows[0], "k": 4, "protocol": "pass@4"}]
    assert FIGURES["pass_at_k"].draw(table("metrics", single)).layout.xaxis.tickvals == (4,)


def test_blocks_fill_lines_from_the_left():
    """Three blocks of two panels, two beside each other: five rows, of which the third keeps the lines apart."""
    figure, place = blocks(["a", "b", "c<"], [100, 50], 2)
    assert [place(block, panel) for block in range(3) for panel in range(2)] == [
        {"row": 1, "col": 1}, {"row": 2, "col": 1}, {"row": 1, "col": 2}, {"row": 2, "col": 2},
        {"row": 4, "col": 1}, {"row": 5, "col": 1},
    ]  # fmt: skip
    assert [note.text for note in figure.layout.annotations] == ["a", "b", "c&lt;"]
    for block in range(3):
        for panel in range(2):
            figure.add_scatter(x=[1], y=[1], **place(block, panel))


def test_the_comparison_shows_each_seed_and_the_interval_over_seeds():
    row = {"method": "sft", "policy": "mixed", "value": 0.5, "low": 0.4, "high": 0.6, "n_problems": 9, "n_samples": 4,
           "rollouts": 0, "tokens_trained": 1, "validation_rollouts": 0, "seed": 0}  # fmt: skip
    whole = [{**row, "protocol": "pass@1", "seed_low": 0.1, "seed_high": 0.9, "n_seeds": 2}]
    seeds = [
        {**row, "split": split, "k": 1, "protocol": "pass@1", "training_seed": seed, "value": value}
        for split, seed, value in (("test", 0, 0.3), ("test", 7, 0.7), ("test", None, 0.5), ("validation", 0, 0.2))
    ]
    draw = FIGURES["comparison"].draw
    *_, points, mean = draw(whole, seeds).data
    assert points.x == (0.3, 0.7)
    assert points.text == ("seed 0", "seed 7")
    assert mean.x == (0.5,)
    assert (
        len(draw(whole, [row for row in seeds if row["training_seed"] is None]).data)
        == len(draw(whole, seeds).data) - 1
    )


def test_figures_of_all_trainings_get_the_rows_of_every_seed():
    """Two seeds: verdicts count both, tags show the first, since tags of different trainings differ."""
    inputs = synthetic({"ssft": 0.5}, problems=3)
    scores = inputs["scores"]
    at = scores.column_names.index("training_seed")
    parts = [
        scores.set_column(at, scores.schema.field(at), pa.array([seed] * scores.num_rows, pa.int64()))
        for seed in (0, 1)
    ]
    one, both = make_figures(**inputs), make_figures(**{**inputs, "scores": pa.concat_tables(parts)})
    totals = [{total for bar in figures["verdicts"].data for _, total in bar.customdata} for figures in (one, both)]
    assert [2 * total for total in totals[0]] == [*totals[1]]
    assert both["tags"] == one["tags"]


def test_without_benchmarks_in_use_their_figures_are_empty():
    inputs = synthetic({"sft": 0.5, "ssft": 0.6}, n=4, problems=2, samples=1)
    inputs.pop("benchmark_metrics", None)
    figures = make_figures(**inputs)
    assert not figures["benchmarks"].data
    assert not figures["benchmark_table"].data
