"""A weak checkpoint is a finding; a limit evaluates a part; a tolerance repeats nothing."""

import logging

import pyarrow as pa
import pytest
from kedro.io import DataCatalog, MemoryDataset

from forkpipe.core.ids import content_hash
from forkpipe.evaluation.sampling import evaluated
from forkpipe.evaluation.scoring import score_generations
from forkpipe.parameters import GenerationSettings, VerificationSettings
from forkpipe.pipeline_registry import register_pipelines
from forkpipe.session import DECLARED
from kedro_provenance.recipes import Recipes, flatten


def problem(name, split="test"):
    return {
        "problem_id": name,
        "problem": f"what is {name}",
        "answer": "7",
        "answer_type": "integer",
        "source": "s",
        "source_id": name,
        "split": split,
        "metadata": "{}",
    }


def generations(texts, finish_reason="stop"):
    same = {"problem_id": "p", "split": "test", "policy": "by_tag", "tag": 0, "tag_source": "forced", "tokens": 3}
    return pa.Table.from_pylist(
        [
            {**same, "method": "weak", "sample": i, "text": text, "finish_reason": finish_reason}
            for i, text in enumerate(texts)
        ]
    )


def scored(table, caplog):
    with caplog.at_level(logging.WARNING, logger="forkpipe"):
        scores = score_generations(table, pa.Table.from_pylist([problem("p")]), VerificationSettings())
        rows = scores.to_table().to_pylist()
    return [row["verdict"] for row in rows], caplog.messages


def test_a_checkpoint_that_writes_no_answers_is_scored_with_a_warning(caplog):
    verdicts, said = scored(generations(["I do not know what to say here"] * 30), caplog)
    assert verdicts == ["unparsed"] * 30
    assert said == [
        "weak: 30 of 30 samples hold no answer that can be compared (30 unparsed) and count as not solved; the first "
        "ends with 'I do not know what to say here'"
    ]


def test_cut_samples_are_a_finding_too(caplog):
    verdicts, said = scored(generations(["on and on"] * 30, "length"), caplog)
    assert verdicts == ["truncated"] * 30
    assert "30 truncated" in said[0]


def test_a_checkpoint_that_answers_gets_no_warning(caplog):
    verdicts, said = scored(generations(["so \\boxed{7}"] * 20 + ["I do not know what to say here"] * 10), caplog)
    assert verdicts == ["correct"] * 20 + ["unparsed"] * 10
    assert said == []


def test_an_evaluation_can_be_limited():
    rows = [problem(f"{split}{i}", split) for split in ("train", "validation", "test", "rl") for i in range(9)]
    whole = evaluated(rows, None)
    assert [one.problem_id for one in whole] == [
        row["problem_id"] for row in rows if row["split"] in ("validation", "test")
    ]
    part = evaluated(rows, 4)
    assert [one.split for one in part] == ["validation"] * 4 + ["test"] * 4
    assert [one for one in whole if one in part] == part
    assert {one.problem_id for one in evaluated(rows[::-1], 3)} < {one.problem_id for one in part}
    assert evaluated(rows, 9) == whole


def teachers(**of_t):
    return {"teachers": {"t": {"engine": "procedural", "options": {"strategy": "cycle"}, **of_t}}}


TEACHERS = GenerationSettings.model_validate(teachers())
LIMITS = [{"limits": {"tokens": 5, "partial": True}}, {"limits": {"minutes": 3}}, {"early_stop": None}]
LIMITS += [{"early_stop": {"first": 50}}, teachers(options={"strategy": "peasant"})]
PRICE = teachers(price={"output": 1.0})
SAMPLING = teachers(sampling={"max_tokens": 40000})
STRATEGY = teachers(strategy="cycle")


@pytest.mark.parametrize(
    ("node", "group", "changes"),
    [
        ("verify_traces", VerificationSettings(), [{"max_unscored": 1.0}]),
        ("ssft.score", VerificationSettings(), [{"max_unscored": 0.0}]),
        ("generate_traces", TEACHERS, [*LIMITS, PRICE]),
        ("cluster_strategies", TEACHERS, [*LIMITS, PRICE, SAMPLING, {"splits": ["rl"]}, {"use": ["t"]}]),
        ("build_trace_sets", TEACHERS, [*LIMITS, PRICE, SAMPLING, STRATEGY, {"use": ["t"]}]),
        ("report_generation", TEACHERS, [*LIMITS, SAMPLING, STRATEGY, {"splits": ["rl"]}, {"use": ["t"]}]),
        ("measure_tag_information", TEACHERS, [*LIMITS, PRICE, SAMPLING, {"splits": ["rl"]}]),
    ],
)
def test_what_changes_no_result_of_a_node_is_no_part_of_its_recipe(node, group, changes):
    for change in changes:
        assert counted(node, type(group).model_validate({**group.model_dump(), **change})) == counted(node, group)


@pytest.mark.parametrize(
    ("node", "changes"),
    [
        ("generate_traces", [SAMPLING, {"splits": ["rl"]}]),
        ("cluster_strategies", [STRATEGY]),
        ("build_trace_sets", [{"splits": ["rl"]}]),
        ("report_generation", [PRICE]),
        ("measure_tag_information", [STRATEGY, {"use": ["t"]}]),
    ],
)
def test_what_a_node_reads_of_the_settings_of_generation_counts(node, changes):
    for change in changes:
        changed = GenerationSettings.model_validate({**TEACHERS.model_dump(), **change})
        assert counted(node, changed) != counted(node, TEACHERS)


def counted(node, group):
    """Return the parameters of one group that are part of a node's recipe."""
    (found,) = [one for one in register_pipelines()["__default__"].nodes if one.name == node]
    name = "params:generation" if isinstance(group, GenerationSettings) else "params:verification"
    assert name in found.inputs
    flat = dict(flatten(group, name.removeprefix("params:")))
    return Recipes(DataCatalog({name: MemoryDataset(group)}), DECLARED).counted(found, flat)


def test_a_tolerance_repeats_no_rollouts():
    default = VerificationSettings()
    assert default.decides == content_hash(default.model_dump())  # as in earlier versions
    assert VerificationSettings(max_unscored=1.0).decides == default.decides
    assert VerificationSettings(options={"math": {"timeout_seconds": 1}}).decides != default.decides
