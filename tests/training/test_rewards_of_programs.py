"""Reinforcement learning whose rewards are programs that pass their tests, run in the sandbox.

The tiny model cannot write programs, so each of its completions is replaced by a program that depends on it; what
samples, verifies and trains is the product's.
"""

import json
from dataclasses import replace

import pytest

from forkpipe.core.errors import InputError
from forkpipe.core.records import Completion, Problem
from forkpipe.parameters import RolloutSettings, SamplingSettings, Schedule, VerificationSettings
from forkpipe.sandbox.base import Run
from forkpipe.sandbox.local import LocalSandbox
from forkpipe.stores.completions import CompletionStore
from forkpipe.training.phases.base import Context
from forkpipe.training.phases.rewards import verifying
from forkpipe.training.phases.schedule import train_policy
from forkpipe.verification.dispatch import ResponseRow
from forkpipe.verification.row_verifier import RowVerifier

CASES = [{"input": "1 2\n", "output": "3\n"}, {"input": "5 6\n", "output": "11\n"}]
PROGRAMS = {
    "correct": "print(sum(map(int, input().split())))",
    "wrong": "print(3)",  # passes the first of two tests, which earns nothing
    "timeout": "while True:\n    pass",
}


class BrokenSandbox:
    """Runs nothing, as where workers cannot start any more."""

    name, workers = "broken", 1

    def run(self, jobs):
        return [Run("broken", "no worker")] * len(jobs)

    def close(self):
        pass


def programs(n):
    tests = {"version": 1, "language": "python", "kind": "stdin", "cases": CASES}
    return [
        Problem.create(
            f"Add two numbers, {i}.", json.dumps(tests), answer_type="code", source="t", source_id=str(i), split="rl"
        )
        for i in range(n)
    ]


def train(base, tmp_path, phases, choose, backend="auto", steps=8):
    """Train on rewards of the programs that `choose` names for each completion; return the result."""
    options = {"backend": backend, "cpu_seconds": 0.3, "workers": 2}
    settings = VerificationSettings(max_unscored=0.5, options={"code": options})
    rollouts = RolloutSettings(
        steps=steps, problems_per_step=4, group_size=6, sampling=SamplingSettings(max_tokens=6), batch_rows=64
    )
    store = CompletionStore(tmp_path / "rollouts.jsonl")
    with verifying(settings) as verify:

        def verify_programs(problems, completions):
            written = [
                replace(one, text=f"```python\n{PROGRAMS[choose(one)]}\n```", finish_reason="stop")
                for one in completions
            ]
            return verify(problems, written)

        context = Context("test", programs(8), (), verify_programs, rollouts, store, "{problem}", seed=0)
        return train_policy(base, tmp_path / "checkpoint", tmp_path / "work", Schedule.model_validate(phases), context)


@pytest.fixture(scope="module")
def isolates():
    sandbox = LocalSandbox(1)
    try:
        sandbox.describe()
    except InputError as error:
        pytest.skip(str(error))
    sandbox.close()


GFPO = {"tags": {"kind": "tags", "scope": "head", "learning_rate": 0.05}}
GRPO = {"traces": {"kind": "traces", "tag": "own", "learning_rate": 1e-3}}


def by_tag(completion):
    """Tag 3 writes right programs; tag 0 programs that loop."""
    return {3: "correct", 0: "timeout"}.get(completion.tag, "wrong")


def mostly_loops(completion):
    return "correct" if completion.tag == 3 else "timeout"


def test_gfpo_moves_to_the_tag_whose_programs_pass_all_tests(isolates, base, tmp_path):
    result = train(base, tmp_path, GFPO, by_tag, steps=30)
    assert result.log[0]["reward"] == pytest.approx(1 / 6, abs=0.05)
    assert result.log[-1]["reward"] > 0.8
    assert result.log[-1]["tag_usage"][3] > 0.8
    for row in result.rewards:
        assert row["verdict"] == {3: "correct", 0: "timeout"}.get(row["tag"], "wrong")


def test_grpo_is_rewarded_by_programs(isolates, base, tmp_path):
    result = train(base, tmp_path, GRPO, by_tag)
    for step, row in enumerate(result.log):
        verdicts = [one["verdict"] for one in result.rewards if one["policy_version"] == step]
        assert len(verdicts) == 24
        assert row["reward"] == pytest.approx(verdicts.count("correct") / 24)
    assert {row["verdict"] for row in result.rewards} == {"correct", "wrong", "timeout"}


@pytest.mark.parametrize("phases", [GFPO, GRPO], ids=["gfpo", "grpo"])
def test_a_policy_whose_programs_loop_goes_on_training(isolates, base, tmp_path, phases):
    """Five of six samples time out, more than `max_unscored` allows of verdicts that say nothing."""
    result = train(base, tmp_path, phases, mostly_loops, steps=3)
    assert len(result.log) == 3
    assert {row["verdict"] for row in result.rewards} == {"correct", "timeout"}


def test_a_policy_without_answers_is_told_and_not_stopped(caplog):
    """All of 30 completions hold no answer; the same verdicts would stop the verification of traces."""
    problems = [
        Problem.create(f"{i}?", "7", answer_type="integer", source="t", source_id=str(i), split="rl") for i in range(30)
    ]
    completions = [Completion(str(i), text="I do not know", finish_reason="stop") for i in range(30)]
    with verifying(VerificationSettings()) as verify:
        assert {one.verdict for one in verify(problems, completions)} == {"unparsed"}
    assert "30 of 30 rollouts hold no answer that can be read" in caplog.text
    rows = [ResponseRow("integer", "7", one.text, "done", "stop") for one in completions]
    with RowVerifier(VerificationSettings()) as verifier, pytest.raises(InputError, match="30 unparsed"):
        verifier.verify(rows)


@pytest.mark.parametrize("phases", [GFPO, GRPO], ids=["gfpo", "grpo"])
def test_a_broken_sandbox_stops_training(base, tmp_path, phases):
    with pytest.raises(InputError, match=r"\d+ failed\).*verification.max_unscored.*failed \(sandbox: no worker\)"):
        train(base, tmp_path, phases, by_tag, backend=f"{__name__}:BrokenSandbox")
    assert not (tmp_path / "checkpoint").exists()
