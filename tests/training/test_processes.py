"""Real processes: two over gloo train as one does, and one that is killed in earnest goes on."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

SCRIPT = """
import json, os, sys
import torch
from datasets import Dataset
from forkpipe import SSFTConfig, SSFTTrainer, load_checkpoint

torch.set_num_threads(1)
base, sets, out, batch, rule, resume = sys.argv[1:]
model, tokenizer, tags = load_checkpoint(base)
trainer = SSFTTrainer(
    model,
    SSFTConfig(
        output_dir=out, max_steps=30, per_device_train_batch_size=int(batch), learning_rate=4e-3, prefix_length=8,
        rematch_every=3, logging_steps=1, save_strategy="steps", save_steps=3, report_to=[], use_cpu=True,
        disable_tqdm=True, dataloader_pin_memory=False, seed=0, **json.loads(rule),
    ),
    processing_class=tokenizer,
    tags=tags,
    train_dataset=Dataset.from_json(sets),
)
trainer.train(resume_from_checkpoint=resume == "resume")
if trainer.is_world_process_zero():
    history = [logs for logs in trainer.state.log_history if "loss" in logs]
    result = {name: [logs[name] for logs in history] for name in ("loss", "trace_loss", "tag_loss", "tokens")}
    with open(out + "/result.json", "w") as file:
        json.dump({**result, "log": trainer.matchings.log}, file)
"""


@pytest.fixture
def arguments(base, trace_sets, tmp_path):
    """A function that gives the command line of a training in its own folder."""
    script, sets = tmp_path / "train.py", tmp_path / "sets.jsonl"
    script.write_text(SCRIPT)
    rows = [
        {
            "problem_id": one.problem_id,
            "problem": one.problem,
            "traces": [{"text": t.text, "trace_id": t.trace_id, "teacher": t.teacher} for t in one.traces[: 1 + i % 4]],
        }
        for i, one in enumerate(trace_sets(16))
    ]
    sets.write_text("\n".join(map(json.dumps, rows)))

    def make(name, batch, resume="", rule="{}"):
        return [str(script), str(base), str(sets), str(tmp_path / name), str(batch), rule, resume]

    return make


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def result(tmp_path, name):
    return json.loads((tmp_path / name / "result.json").read_text())


PRIOR = '{"rematch_gaps": "doubling", "consistency_weight": 0.5}'


@pytest.mark.parametrize("rule", ["{}", PRIOR])
def test_two_processes_train_as_one(arguments, tmp_path, rule):
    """Problems of 1 to 4 traces, so that the halves of a step hold different numbers of tokens; matchings are kept
    over visits that fall to another process, and a prior learns from the matchings of both."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    run([sys.executable, *arguments("one", 8, rule=rule)])
    run([*launch, *arguments("two", 4, rule=rule)])
    one, two = result(tmp_path, "one"), result(tmp_path, "two")
    for name in ("loss", "trace_loss", "tag_loss", "tokens"):
        assert two[name] == pytest.approx(one[name], abs=1e-5), name

    def tags(found):
        return {(row["problem_id"], row["visit"], row["trace_id"]): row["tag"] for row in found["log"]}

    assert tags(two) == tags(one)


def test_a_process_that_is_killed_goes_on(arguments, tmp_path):
    """SIGKILL as soon as a checkpoint appears, wherever the training is then."""
    process = subprocess.Popen(
        [sys.executable, *arguments("killed", 8)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 120
    while not (tmp_path / "killed" / "checkpoint-3" / "trainer_state.json").exists() and time.monotonic() < until:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    if (tmp_path / "killed" / "result.json").exists():
        pytest.fail("the training ended before it could be killed")
    run([sys.executable, *arguments("killed", 8, "resume")])
    run([sys.executable, *arguments("whole", 8)])
    assert result(tmp_path, "killed") == result(tmp_path, "whole")
