"""Tags and strategies: known joint counts give known information, and the labeler is judged on unseen problems."""

import json

import pyarrow as pa
import pytest

from forkpipe.core.schemas import SCHEMAS
from forkpipe.evaluation.tag_information import tag_information

WORDS = {"peasant": "double {} then halve {}", "cycle": "list powers until {} repeats after {}"}
LABELS = {"teacher_a": "peasant", "teacher_b": "cycle"}


def trace_sets(teachers=("teacher_a", "teacher_b"), problems=20):
    rows = [
        {
            "problem_id": f"p{p}", "problem": "x", "answer": "1", "source": "s", "split": "train", "run_id": "r",
            "traces": [
                {"trace_id": f"{p}{t}", "teacher": t, "strategy": i, "tokens": 5,
                 "text": WORDS[LABELS.get(t, "cycle")].format(p, p + 1)}
                for i, t in enumerate(teachers)
            ],
        }
        for p in range(problems)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SCHEMAS["trace_sets"])


def matching(tag_of, problems=20, visits=2):
    rows = [
        {"method": "ssft", "step": visit * problems + p, "visit": visit, "problem_id": f"p{p}", "trace_id": f"{p}{t}",
         "teacher": t, "tag": tag_of(visit, p, i), "cost": 1.0, "margin": 0.1, "run_id": "r"}
        for visit in range(visits)
        for p in range(problems)
        for i, t in enumerate(("teacher_a", "teacher_b"))
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SCHEMAS["matching"])


def generations(strategy_of, tags=(0, 1), method="ssft", problems=10):
    rows = [
        {"method": method, "problem_id": f"q{p}", "split": split, "policy": "by_tag", "tag": tag,
         "tag_source": "forced", "sample": 0, "seed": 1, "text": WORDS[strategy_of(p, tag)].format(p, 99),
         "token_ids": [], "tokens": 5, "finish_reason": "stop", "checkpoint": "c", "run_id": "r"}
        for split in ("validation", "test")
        for p in range(problems)
        for tag in tags
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SCHEMAS["generations"])


def measure(matched=None, generated=None, sets=None, labels=LABELS):
    return tag_information(sets or trace_sets(), matched or {}, generated or {}, labels)


def test_the_last_matching_counts_and_training_is_seen_in_tenths():
    """First visit: tags swapped on every other problem (0 bits); second visit: one teacher a tag (1 bit)."""
    found = measure({"ssft": matching(lambda visit, p, i: (i + p) % 2 if visit == 0 else i)})
    result = found["matching"]["ssft"]
    assert found["labels"] == ["cycle", "peasant"]
    assert result["counts"] == [[0, 20], [20, 0]]
    assert result["mutual_information_bits"] == pytest.approx(1.0)
    assert (result["purity"], result["n"]) == (1.0, 40)
    curve = result["over_training"]
    assert [point["tenth"] for point in curve] == list(range(1, 11))
    assert curve[0]["mutual_information_bits"] == pytest.approx(0.0, abs=1e-9)
    assert curve[-1]["mutual_information_bits"] == pytest.approx(1.0)
    assert (curve[0]["last_step"], curve[-1]["last_step"], curve[0]["n"]) == (3, 39, 8)
    json.dumps(found)


def test_the_labeler_reads_test_texts():
    found = measure(generated={"ssft": generations(lambda p, tag: ("peasant", "cycle")[tag])})
    assert found["labeler"]["held_out_accuracy"] == 1.0
    assert found["labeler"]["n_held_out_problems"] == 4
    assert found["labeler"]["n_held_out_traces"] + found["labeler"]["n_train_traces"] == 40
    assert found["generations"]["ssft"]["counts"] == [[0, 10], [10, 0]]
    assert found["generations"]["ssft"]["mutual_information_bits"] == pytest.approx(1.0)


def test_a_plain_tag_has_shares_and_no_information():
    found = measure(generated={"sft": generations(lambda p, tag: "peasant", tags=(-1,), method="sft")})
    result = found["generations"]["sft"]
    assert (result["tags"], result["counts"]) == ([-1], [[0, 10]])
    assert result["mutual_information_bits"] is None
    assert result["purity"] is None


def test_one_label_needs_no_labeler():
    found = measure(
        generated={"ssft": generations(lambda p, tag: "peasant")},
        sets=trace_sets(teachers=("teacher_a",)),
    )
    assert found["labeler"]["held_out_accuracy"] is None
    assert "fewer than two strategies" in found["labeler"]["reason"]
    assert found["generations"]["ssft"]["mutual_information_bits"] == 0.0


def test_too_few_problems_to_judge_a_labeler():
    found = measure(generated={"ssft": generations(lambda p, tag: "cycle")}, sets=trace_sets(problems=1))
    assert found["generations"] == {}
    assert "too few problems" in found["labeler"]["reason"]


def test_an_unknown_teacher_is_its_own_label():
    assert measure(sets=trace_sets(teachers=("teacher_a", "gpt")))["labels"] == ["gpt", "peasant"]


def test_order_of_rows_and_names_of_tags_do_not_matter():
    sets, matched = trace_sets(), matching(lambda visit, p, i: i if p % 4 else 1 - i)
    made = generations(lambda p, tag: ("peasant", "cycle")[tag if p % 3 else 1 - tag])

    def turned(rows):
        return rows.take(list(range(rows.num_rows))[::-1])

    first = tag_information(sets, {"ssft": matched}, {"ssft": made}, LABELS)
    assert first == tag_information(turned(sets), {"ssft": turned(matched)}, {"ssft": turned(made)}, LABELS)
    renamed = made.set_column(made.schema.get_field_index("tag"), made.schema.field("tag"), pa.array(
        [1 - tag for tag in made["tag"].to_pylist()]))  # fmt: skip
    second = tag_information(sets, {"ssft": matched}, {"ssft": renamed}, LABELS)["generations"]["ssft"]
    assert second["counts"] == first["generations"]["ssft"]["counts"][::-1]
    assert second["mutual_information_bits"] == pytest.approx(first["generations"]["ssft"]["mutual_information_bits"])
