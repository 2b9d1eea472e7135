"""What two processes over gloo log and evaluate, against one, and what they refuse."""

import json
import subprocess
import sys

import pytest
import torch

from forkpipe import SSFTConfig, SSFTTrainer, load_checkpoint
from forkpipe.core.errors import InputError
from forkpipe.training.sharding import is_sharded

SCRIPT = """
import json, sys
import torch
from forkpipe import GFPOConfig, GFPOTrainer, SSFTConfig, SSFTTrainer, head_rows, load_checkpoint

torch.set_num_threads(1)
base, data, out, processes = sys.argv[1:]
rows = json.load(open(data))
common = dict(report_to=[], use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False, save_strategy="no", seed=0)
model, tokenizer, tags = load_checkpoint(base)
result = {}
if processes == "2":
    try:
        arguments = SSFTConfig(output_dir=out, max_steps=1, fsdp=True, **common)
        SSFTTrainer(model, arguments, processing_class=tokenizer, tags=tags, train_dataset=rows["sets"])
        result["fsdp"] = "not refused"
    except Exception as error:
        result["fsdp"] = f"{type(error).__name__}: {error}"
trainer = SSFTTrainer(
    model,
    SSFTConfig(output_dir=out, max_steps=1, prefix_length=8, per_device_eval_batch_size=2, **common),
    processing_class=tokenizer, tags=tags, train_dataset=rows["sets"], eval_dataset=rows["sets"],
)
result["evaluation"] = trainer.evaluate()
# Two processes in passes, of which they have different numbers, against one process in none.
passes = {"pass_tokens": 60} if processes == "2" else {}
model, tokenizer, tags = load_checkpoint(base)
trainer = SSFTTrainer(
    model,
    SSFTConfig(
        output_dir=out, max_steps=6, prefix_length=8, per_device_train_batch_size=4 // int(processes),
        learning_rate=4e-3, logging_steps=1, **passes, **common,
    ),
    processing_class=tokenizer, tags=tags, train_dataset=rows["sets"] + [{**rows["sets"][0], "problem_id": "again"}],
)
trainer.train()
result["ssft"] = [logs for logs in trainer.state.log_history if "loss" in logs]
model, tokenizer, tags = load_checkpoint(base)
trainer = GFPOTrainer(
    model,
    GFPOConfig(
        output_dir=out, max_steps=4, per_device_train_batch_size=4 // int(processes), learning_rate=3e-2,
        logging_steps=2, objective="exact", **common,
    ),
    processing_class=tokenizer, tags=tags, train_dataset=rows["rewards"], peft_config=head_rows(model, tags),
)
trainer.train()
result["gfpo"] = [logs for logs in trainer.state.log_history if "reward" in logs]
if trainer.is_world_process_zero():
    json.dump(result, open(out + ".json", "w"))
"""


@pytest.fixture(scope="module")
def results(base, trace_sets, rl_problems, tmp_path_factory):
    """What a script reports on one process and on two."""
    folder = tmp_path_factory.mktemp("processes")
    sets = [
        {"problem": one.problem, "traces": [trace.text for trace in one.traces[: 1 + i % 4]]}
        for i, one in enumerate(trace_sets(7))  # 7: two processes repeat a problem
    ]
    # Problems differ in their rewards and in how many tags earn equal ones, so that the halves of a step differ.
    rewards = [
        {"problem": one.problem, "rewards": [[float(i % 3 and tag == i % 6)] for tag in range(6)]}
        for i, one in enumerate(rl_problems(8))
    ]
    (folder / "script.py").write_text(SCRIPT)
    (folder / "data.json").write_text(json.dumps({"sets": sets, "rewards": rewards}))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    found = {}
    for processes, command in (("1", [sys.executable]), ("2", launch)):
        out = folder / f"out{processes}"
        arguments = ["script.py", str(base), "data.json", str(out), processes]
        done = subprocess.run(
            [*command, *arguments], cwd=folder, capture_output=True, text=True, timeout=400, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        found[processes] = json.loads(out.with_suffix(".json").read_text())
    return found


def test_fsdp_on_a_cpu_is_refused_and_not_silently_data_parallel(results):
    assert results["2"]["fsdp"].startswith("InputError: fsdp is True, and accelerate does not shard on 'cpu'")


def test_the_loss_and_the_tags_of_an_evaluation_are_those_of_one_process(results):
    one, two = (
        {name: value for name, value in results[key]["evaluation"].items() if "per_second" not in name}
        for key in ("1", "2")
    )
    for name in ("eval_loss", "eval_usage_1", "eval_usage_6"):
        assert two[name] == pytest.approx(one[name], abs=1e-6), name


def test_training_in_passes_is_that_of_one_process(results):
    for expected, logs in zip(results["1"]["ssft"], results["2"]["ssft"], strict=True):
        for name in ("loss", "trace_loss", "tag_loss", "tokens", "grad_norm"):
            assert logs[name] == pytest.approx(expected[name], rel=1e-5), name


def test_the_log_of_gfpo_covers_all_processes(results):
    one, two = results["1"]["gfpo"], results["2"]["gfpo"]
    assert [logs["groups"] for logs in two] == [8, 8]
    assert any(0 < logs["groups_skipped"] < 8 for logs in two)
    for expected, logs in zip(one, two, strict=True):
        for name in ("reward", "kl", "entropy", "usage_1", "usage_4", "groups", "groups_skipped", "loss"):
            assert logs[name] == pytest.approx(expected[name], abs=1e-5), name


def test_a_model_that_is_sharded_already_is_refused(base, trace_sets, tmp_path):
    """As `distributed_config` of from_pretrained does: no argument of the trainer tells of it."""
    from torch.distributed.fsdp import fully_shard

    model, tokenizer, tags = load_checkpoint(base)
    arguments = SSFTConfig(output_dir=str(tmp_path), use_cpu=True, report_to=[])
    assert not is_sharded(model)
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        fully_shard(model, mesh=torch.distributed.device_mesh.init_device_mesh("cpu", (1,)))
        assert is_sharded(model)
        with pytest.raises(InputError, match="the model is sharded"):
            SSFTTrainer(
                model,
                arguments,
                processing_class=tokenizer,
                tags=tags,
                train_dataset=[{"problem": one.problem, "traces": [one.traces[0].text]} for one in trace_sets(2)],
            )
    finally:
        torch.distributed.destroy_process_group()
