"""Processes that hold the model together (FSDP2), over gloo: they train as one process that holds the whole model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from forkpipe.core.errors import InputError
from forkpipe.models.checkpoint import load_checkpoint
from forkpipe.training import sharding

SCRIPT = Path(__file__).with_name("sharded_script.py")
NAMES = ("loss", "trace_loss", "tag_loss", "grad_norm", "tokens")


def launch(processes, base, data, out):
    """Return what the script reports from so many processes, and how it ended."""
    out.mkdir()
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [*(run if processes > 1 else [sys.executable]), str(SCRIPT), str(base), str(data), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert (out / "result.json").exists(), done.stderr[-6000:]
    return json.loads((out / "result.json").read_text()), done


@pytest.fixture(scope="module")
def data(trace_sets, rl_problems, tmp_path_factory):
    """A file of problems of 1 to 4 traces, and of problems that differ in the tags that earn."""
    path = tmp_path_factory.mktemp("sharded") / "data.json"
    sets = [
        {"problem": one.problem, "traces": [trace.text for trace in one.traces[: 1 + i % 4]]}
        for i, one in enumerate(trace_sets(9))
    ]
    rewards = [
        {"problem": one.problem, "rewards": [[float(i % 3 and tag == i % 6)] for tag in range(6)]}
        for i, one in enumerate(rl_problems(8))
    ]
    path.write_text(json.dumps({"sets": sets, "rewards": rewards}))
    return path


@pytest.fixture(scope="module")
def one(base, data):
    return launch(1, base, data, data.parent / "one")[0]


@pytest.fixture(scope="module")
def ended(base, data):
    return launch(2, base, data, data.parent / "two")


@pytest.fixture(scope="module")
def two(ended):
    return ended[0]


def test_each_process_holds_its_part_of_every_weight(two):
    shards = two["shards"]
    assert shards["wrapped"]
    assert shards["dtensors"] == shards["weights"] > 10
    assert sum(shards["local"]) == shards["whole"]
    assert max(shards["local"]) <= 0.51 * shards["whole"]


def test_no_gradient_of_whole_weights_is_held_between_passes(two):
    passes, held = two["held"]
    assert passes > 20
    assert held == 0


@pytest.mark.parametrize("name", ["full", "lora", "gfpo"])
def test_losses_are_those_of_one_process(one, two, name):
    assert len(two[name]) == len(one[name]) >= 3
    for expected, logs in zip(one[name], two[name], strict=True):
        for metric in NAMES if name != "gfpo" else ("loss", "reward", "kl", "entropy", "usage_3"):
            assert logs[metric] == pytest.approx(expected[metric], rel=1e-5, abs=1e-5), metric


@pytest.mark.skipif("PROVE_SPREAD" not in os.environ, reason="make prove-spread")
def test_losses_of_four_processes_are_those_of_one(one, base, data):
    four, _ = launch(4, base, data, data.parent / "four")
    assert max(four["shards"]["local"]) <= 0.27 * four["shards"]["whole"]
    for name in ("full", "lora"):
        for expected, logs in zip(one[name], four[name], strict=True):
            for metric in NAMES:
                assert logs[metric] == pytest.approx(expected[metric], rel=1e-5, abs=1e-6), metric


def test_a_training_that_goes_on_from_shards_ends_as_the_undisturbed_one(two):
    for expected, logs in zip(two["full"], two["resumed"], strict=True):
        assert logs["loss"] == pytest.approx(expected["loss"], rel=1e-6)


def test_an_evaluation_is_that_of_one_process(one, two):
    for name in ("eval_loss", "eval_usage_1", "eval_usage_6"):
        assert two["evaluation"][name] == pytest.approx(one["evaluation"][name], abs=1e-5), name


@pytest.mark.parametrize("name", ["full", "lora"])
def test_the_saved_model_is_whole(one, two, data, base, name):
    """Adapters, with the rows of the tags that they train, are merged."""
    expected, found = (load_file(data.parent / key / f"{name}_saved" / "model.safetensors") for key in ("one", "two"))
    before = load_file(base / "model.safetensors")
    assert found.keys() == expected.keys() == before.keys()
    for weight, tensor in expected.items():
        assert np.allclose(found[weight], tensor, atol=2e-5), weight
    changed = [weight for weight, tensor in found.items() if not np.allclose(tensor, before[weight], atol=1e-4)]
    assert {"model.embed_tokens.weight", "lm_head.weight"} <= set(changed)
    load_checkpoint(data.parent / "two" / f"{name}_saved")


def test_frozen_weights_in_bfloat16_are_merged_in_float32(two, data, base):
    assert two["lora_bfloat16_dtypes"] == [[False, "torch.bfloat16"], [True, "torch.float32"]]
    found = load_file(data.parent / "two" / "lora_bfloat16_saved" / "model.safetensors")
    before = load_file(base / "model.safetensors")
    norm = "model.norm.weight"
    assert {str(tensor.dtype) for tensor in found.values()} == {"torch.float32"}
    assert np.array_equal(found[norm], before[norm])
    for exact, logs in zip(two["lora"], two["lora_bfloat16"], strict=True):
        assert logs["loss"] == pytest.approx(exact["loss"], abs=0.05)


def test_bfloat16_rounds_weights_and_not_sums_of_gradients(one, two):
    assert two["bf16_policies"] == [["torch.bfloat16", "torch.float32"]]
    assert two["bf16"][0]["loss"] == pytest.approx(one["bf16"][0]["loss"], abs=2e-3)
    assert two["bf16"][-1]["loss"] == pytest.approx(one["bf16"][-1]["loss"], abs=1e-2)


def test_matching_costs_in_float32_are_computed_from_unrounded_weights(one, two):
    rounded, exact = two["errors"]
    assert rounded > 100 * exact
    for row in ("0", "1"):
        assert np.allclose(one["exact"][row], two["exact"][row], atol=1e-5)


def test_unequal_numbers_of_passes_end_the_run(ended, data):
    """So the agreement on their number is what holds the trainings above together."""
    assert (data.parent / "two" / "unequal_began").exists()
    assert ended[1].returncode != 0
    assert not (data.parent / "two" / "unequal_finished").exists()


class Asked:
    """As much of a trainer as `prepare_sharding` looks at."""

    def __init__(self, fsdp=False, deepspeed=False, version=2, fp16=False):
        plugin = type("Plugin", (), {"fsdp_version": version})
        state = type("State", (), {"fsdp_plugin": plugin})
        self.accelerator = type("Accelerator", (), {"state": state})
        self.is_fsdp_enabled, self.is_deepspeed_enabled = fsdp, deepspeed
        self.args = type("Arguments", (), {"fsdp": fsdp, "fp16": fp16})


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Asked(deepspeed=True), "DeepSpeed is asked for, which is not supported: expected fsdp=True"),
        (Asked(fsdp=True, version=1), "fsdp_config.version is 1, expected 2"),
        (Asked(fsdp=True, fp16=True), "fp16 is True with fsdp, expected bf16"),
    ],
)
def test_other_ways_to_shard_are_refused(asked, message):
    with pytest.raises(InputError, match=message):
        sharding.prepare_sharding(asked)
