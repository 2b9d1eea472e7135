"""What is said and refused before a training runs."""

import json

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro_datasets.json import JSONDataset
from transformers import Qwen2Config

from byte_tokenizer import byte_tokenizer
from forkpipe.core.errors import InputError
from forkpipe.datasets.table import TableDataset
from forkpipe.parameters import LoraSettings, ModelSettings, SupervisedSettings
from forkpipe.parameters.recipes import doubts, epochs_of, refused_rate
from forkpipe.pipeline_registry import register_pipelines
from forkpipe.planned import described
from forkpipe.preflight import check_run
from test_parameters import parameters


def nodes(*names):
    return [node for node in register_pipelines()["__default__"].nodes if node.name in names]


def catalog(tmp_path, sets=None, **runtime):
    made = DataCatalog({"trace_sets": TableDataset(filepath=str(tmp_path / "trace_sets.parquet"), table="trace_sets")})
    made["parameters"] = MemoryDataset(parameters(**runtime))
    made["trace_set_totals"] = JSONDataset(filepath=str(tmp_path / "totals.json"))
    if sets is not None:
        rows = [
            {
                "problem_id": str(i),
                "problem": "p",
                "answer": "1",
                "source": "s",
                "split": split,
                "traces": [],
                "run_id": "",
            }
            for i, split in enumerate(["train"] * sets + ["validation"])
        ]
        made["trace_sets"].save(rows)
    return made


@pytest.fixture
def tied(tmp_path):
    """A folder of a pretrained model whose output matrix is its input matrix."""
    folder = tmp_path / "tied"
    byte_tokenizer(["a few words"]).save_pretrained(folder)
    Qwen2Config(hidden_size=16, tie_word_embeddings=True, architectures=["Qwen2ForCausalLM"]).save_pretrained(folder)
    return str(folder)


def test_lengths_are_those_of_transformers():
    """An epoch of 100 sets in passes of 3, two to a step: 34 passes, 17 steps; 2.5 epochs are 43 steps, rounded up."""
    settings = SupervisedSettings(problems_per_step=3, gradient_accumulation=2, epochs=2.5)
    assert (settings.steps_an_epoch(100), settings.steps(100)) == (17, 43)
    assert SupervisedSettings(problems_per_step=16, epochs=5).steps(1) == 5
    assert SupervisedSettings(problems_per_step=16, epochs=5, max_steps=7).steps(1000) == 7
    assert epochs_of(SupervisedSettings(problems_per_step=16, max_steps=500), 710) == 500 / 45


@pytest.mark.parametrize(
    ("settings", "sets", "source", "expected"),
    [
        ({"max_steps": 315}, 100, "Qwen/Qwen3-0.6B", ["45 epochs of 100 sets: every trace is seen 45 times"]),
        ({"epochs": 5}, 1000, "Qwen/Qwen3-0.6B", []),
        ({"max_steps": 500}, 710, "scratch", []),  # the embedded default
        ({"max_steps": 500}, 100, "scratch", ["71.4 epochs of 100 sets"]),
        ({"max_steps": 20}, 1000, "Qwen/Qwen3-0.6B", ["0.32 epochs of 1000 sets: 68% of the sets are never seen"]),
        ({"epochs": 5}, 20, "Qwen/Qwen3-0.6B", []),
        ({"epochs": 5}, 16, "Qwen/Qwen3-0.6B", ["5 optimiser steps in all"]),
        ({"epochs": 5}, 0, "Qwen/Qwen3-0.6B", []),  # the training itself refuses that
    ],
)
def test_lengths_that_are_hardly_meant_are_doubted(settings, sets, source, expected):
    found = list(doubts(SupervisedSettings(**settings), sets, ModelSettings(source=source)))
    assert len(found) == len(expected)
    assert all(text.startswith(start) for text, start in zip(found, expected, strict=True))


def test_the_plan_says_settings_sets_steps_and_epochs(tmp_path):
    planned = nodes("sft.train", "ssft.train", "gfpo.train", "ssft.generate")
    said = list(described(catalog(tmp_path, 710), planned))
    assert said[0].startswith("train sft, ssft: 500 steps of 16 problems: 11.1 epochs of 710 sets; learning rate 0.004")
    assert "train gfpo: tags: kind tags, scope head, 60 steps, learning rate 0.01" in said[1]
    assert said[2] == ("evaluate: 4 samples a problem under each of 6 tags, temperature 0.7, top_p 1, max_tokens 32")
    other = list(described(catalog(tmp_path, 710, ssft={"train": {"tag_weight": 0.5}}), planned))
    assert other[0].startswith("train sft: ")
    assert other[1].startswith("train ssft: ")
    assert "tag weight 0.5" in other[1]
    assert list(described(catalog(tmp_path, 710), nodes("generate_traces"))) == []


def test_the_plan_compares_both_ways_to_select_sets(tmp_path):
    made = catalog(tmp_path, 40)
    by_teacher = {"sets": 40, "traces": 90, "of_traces": {"2": 30, "3": 10}, "of_strategies": {"1": 38, "2": 2}}
    by_strategy = {"sets": 2, "traces": 4, "of_traces": {"2": 2}, "of_strategies": {"2": 2}}
    made["trace_set_totals"].save(
        {"select": "teachers", "problems": 50, "by_teacher": by_teacher, "by_strategy": by_strategy}
    )
    said = list(described(made, nodes("ssft.train")))
    assert said[0] == (
        "trace sets: select teachers gave 40 sets (30 of 2 traces, 10 of 3) with 90 traces; 38 of 1 strategy, 2 of 2; "
        "by strategy (trace_sets.select divergent) there would be 2 sets (2 of 2 traces) with 4 traces; "
        "2 of 2 strategies"
    )
    assert said[1].startswith("train ssft: ")


def test_the_plan_warns_of_many_epochs_and_says_where_sets_are_not_there_yet(tmp_path):
    runtime = {"model": {"source": "Qwen/Qwen3-0.6B"}, "supervised": {"max_steps": 315}}
    said = list(described(catalog(tmp_path, 100, **runtime), nodes("ssft.train")))
    assert said[1] == "WARNING 45 epochs of 100 sets: every trace is seen 45 times, the paper has 5 epochs"
    stale = list(described(catalog(tmp_path, 100), nodes("ssft.train", "build_trace_sets")))
    assert "epochs of 100 sets (trace sets as they are now)" in stale[0]
    (tmp_path / "none").mkdir()
    said = list(described(catalog(tmp_path / "none", model={"source": "Qwen/Qwen3-0.6B"}), nodes("ssft.train")))
    assert said[0].startswith("train ssft: 5 epochs in steps of 16 problems, on the trace sets that there will be; ")


def test_rates_of_models_from_scratch_are_refused_for_pretrained_ones():
    assert refused_rate(SupervisedSettings(learning_rate=4e-3)).startswith("is 0.004, at which all weights")
    assert refused_rate(SupervisedSettings(learning_rate=5e-4)) is None
    assert refused_rate(SupervisedSettings(learning_rate=1e-3)) is not None
    assert refused_rate(SupervisedSettings(learning_rate=4e-3, lora=LoraSettings())) is None
    assert refused_rate(SupervisedSettings(learning_rate=4e-2, lora=LoraSettings())) is not None


@pytest.mark.parametrize(
    ("node", "runtime", "name"),
    [
        ("ssft.train", {"supervised": {"learning_rate": 4e-3}}, "supervised.learning_rate is 0.004"),
        ("ssft.train", {"ssft": {"train": {"learning_rate": 4e-3}}}, "ssft.train.learning_rate is 0.004"),
        (
            "grpo.train",
            {"grpo": {"train": {"traces": {"learning_rate": 0.1}}}},
            "grpo.train.traces.learning_rate is 0.1",
        ),
        ("gfpo.train", {"gfpo": {"train": {"tags": {"learning_rate": 0.1}}}}, "gfpo.train.tags.learning_rate is 0.1"),
    ],
)
def test_the_rate_is_refused_by_name_before_anything_runs_and_the_advice_is_accepted(
    tmp_path, tied, node, runtime, name
):
    planned = [one for one in nodes(node) if not setattr(one, "stores", ())]
    model = {"source": tied}
    with pytest.raises(InputError, match=f"{name}.*pretrained.*expected at most") as caught:
        check_run(catalog(tmp_path, model=model, **runtime), planned)
    most = float(str(caught.value).rsplit(" ", 1)[1])
    lowered = json.loads(json.dumps(runtime).replace("0.004", str(most)).replace("0.1", str(most)))
    check_run(catalog(tmp_path, model=model, **lowered), planned)
    check_run(catalog(tmp_path, **runtime), planned)  # from scratch any rate is the user's


def test_scope_head_with_tied_embeddings_is_refused_before_anything_runs_and_the_advice_is_accepted(tmp_path, tied):
    planned = [one for one in nodes("gfpo.train") if not setattr(one, "stores", ())]
    head = {"gfpo": {"train": {"tags": {"scope": "head", "learning_rate": 1e-2}}}}
    with pytest.raises(InputError, match=r"gfpo.train.tags.scope is 'head' and .*tied ties its embeddings") as caught:
        check_run(catalog(tmp_path, model={"source": tied}, **head), planned)
    assert "gfpo.train.tags.scope=router,gfpo.train.tags.learning_rate=1e-4" in str(caught.value)
    advised = {"gfpo": {"train": {"tags": {"scope": "router", "learning_rate": 1e-4}}}}
    check_run(catalog(tmp_path, model={"source": tied}, **advised), planned)
    check_run(catalog(tmp_path, model={"source": tied}), planned)
    check_run(catalog(tmp_path, **head), planned)
