"""Steps in micro-batches: the gradient of the whole, passes of no more rows, killed trainings that go on with less."""

from itertools import pairwise

import pytest
import torch
from test_gfpo_trainer import config, rows
from test_policies import ROLLOUTS, odd_length, train, weights_of
from transformers import Trainer, TrainerCallback

from forkpipe import GFPOTrainer
from forkpipe.models.checkpoint import Checkpoint, load_checkpoint
from forkpipe.parameters import FoldPhase, RolloutSettings, Schedule, TagsPhase, TracesPhase
from forkpipe.stores.completions import CompletionStore
from forkpipe.training.phases import fold, tags, traces
from forkpipe.training.phases.base import Context

STEP = ROLLOUTS.problems_per_step * ROLLOUTS.group_size


class Watching(TrainerCallback):
    """Keeps the gradient of every optimiser step, and the rows of every pass through the model under gradient."""

    def __init__(self):
        self.gradients, self.rows = [], []

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        def count(module, args, kwargs):
            if torch.is_grad_enabled():
                self.rows.append(len(kwargs["input_ids"]))

        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        inner.base_model.register_forward_pre_hook(count, with_kwargs=True)

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        named = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
        self.gradients.append(named)


@pytest.fixture
def steps_of(tmp_path, rl_problems, trace_sets, monkeypatch):
    """A function that runs one phase for two steps and returns what was watched, and the phase's log."""
    numbers = iter(range(100))

    def call(runner, parent, settings, steps=2, **rollouts):
        place = tmp_path / str(next(numbers))
        watching = Watching()
        module = {"train_traces": traces, "train_tags": tags, "fold_router": fold}[runner.__name__]
        original = module.run

        def run(trainer, *arguments):
            trainer.add_callback(watching)
            original(trainer, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(module, "run", run)
            store = CompletionStore(place / "rollouts.jsonl")
            budget = ROLLOUTS.model_copy(update={"steps": steps, **rollouts})
            context = Context("test", rl_problems(6), trace_sets(4), odd_length, budget, store, "{problem}", 0)
            result = runner(Checkpoint(parent), place / "checkpoint", place / "work", settings, steps, "job", context)
        return watching, result, place / "checkpoint"

    return call


@pytest.fixture(scope="module")
def routed(base, tmp_path_factory, rl_problems):
    """A checkpoint with a router."""
    phases = {"tags": {"kind": "tags", "scope": "router", "learning_rate": 1e-2}}
    return train(base, tmp_path_factory.mktemp("routed"), rl_problems(6), phases, odd_length, steps=2)[1]


def same(watched, whole, tolerance=1e-6):
    """The first gradient is that of the whole: to a millionth of the largest entry of the whole gradient."""
    first, expected = watched.gradients[0], whole.gradients[0]
    assert first.keys() == expected.keys()
    largest = max(float(one.abs().max()) for one in expected.values())
    assert largest > 1e-3
    for name, one in expected.items():
        assert float((first[name] - one).abs().max()) < tolerance * largest, name


@pytest.mark.parametrize(
    ("tag", "loss_type"), [("first", "grpo"), ("first", "dapo"), ("own", "dr_grpo"), ("router", "grpo")]
)
def test_rollouts_a_pass_do_not_change_the_gradient(base, routed, steps_of, tag, loss_type):
    common = {"kind": "traces", "tag": tag, "loss_type": loss_type, "learning_rate": 1e-3, "max_grad_norm": 1e9}
    parent = routed if tag == "router" else base
    beta = 0.1 if tag != "router" else 0.0
    whole, expected, _ = steps_of(traces.train_traces, parent, TracesPhase(**common, beta=beta))
    small = TracesPhase(**common, beta=beta, micro_batch_size=4, gradient_checkpointing=True)
    parts, found, _ = steps_of(traces.train_traces, parent, small)
    assert set(whole.rows) == {STEP}
    assert set(parts.rows) == {4}
    same(parts, whole)
    assert found.rewards[:STEP] == expected.rewards[:STEP]  # the very same rollouts
    for name in ("loss", "reward", "tokens", "rollouts", "groups", "groups_skipped"):
        assert found.log[0][name] == pytest.approx(expected.log[0][name], abs=1e-6)
    assert found.log[0]["groups"] == ROLLOUTS.problems_per_step
    assert len(found.log) == 2


@pytest.mark.parametrize(
    ("tag", "loss_type", "size"), [("first", "grpo", None), ("own", "dapo", 12), ("router", "dr_grpo", None)]
)
def test_tokens_a_pass_do_not_change_the_gradient_of_rollouts(base, routed, steps_of, tag, loss_type, size):
    common = {"kind": "traces", "tag": tag, "loss_type": loss_type, "learning_rate": 1e-3, "max_grad_norm": 1e9}
    parent = routed if tag == "router" else base
    beta = 0.1 if tag == "first" else 0.0
    whole, expected, _ = steps_of(traces.train_traces, parent, TracesPhase(**common, beta=beta))
    small = TracesPhase(**common, beta=beta, pass_tokens=60, micro_batch_size=size)
    parts, found, _ = steps_of(traces.train_traces, parent, small)
    assert max(parts.rows) < (size or STEP)
    assert sum(parts.rows) == sum(whole.rows)
    same(parts, whole)
    assert found.rewards[:STEP] == expected.rewards[:STEP]  # the very same rollouts
    for name in ("loss", "reward", "tokens", "rollouts", "groups", "groups_skipped"):
        assert found.log[0][name] == pytest.approx(expected.log[0][name], abs=1e-6)


@pytest.mark.parametrize("kind", ["kl", "replay"])
@pytest.mark.parametrize("scope", ["lora", "full"])
def test_problems_and_anchored_sequences_a_pass_do_not_change_the_gradient(base, steps_of, scope, kind):
    def phase(size, **anchor):
        return TagsPhase(
            kind="tags", scope=scope, learning_rate=1e-3, max_grad_norm=1e9, kl_weight=0.1, micro_batch_size=size,
            anchor={"kind": kind, "weight": 3.0, "sequences": 10, **anchor},
        )  # fmt: skip

    whole, expected, _ = steps_of(tags.train_tags, base, phase(None), steps=2)
    parts, found, _ = steps_of(tags.train_tags, base, phase(2, micro_batch_size=3, logit_chunk=16), steps=2)
    # Problems, then the anchor once a step. The second step is the rest of a pass over six problems.
    assert whole.rows == [4, 10, 2, 10]
    assert parts.rows == [2, 2, 3, 3, 3, 1, 2, 3, 3, 3, 1]
    same(parts, whole)
    assert [row["groups"] for row in found.log] == [4, 2]
    for row, wanted in zip(found.log, expected.log, strict=True):
        for name in ("loss", "reward", "entropy", "kl", "anchor", "groups", "groups_skipped", "tag_usage"):
            assert row[name] == pytest.approx(wanted[name], abs=2e-5), name


def test_a_short_micro_batch_weighs_as_its_problems(base, tmp_path, rl_problems):
    """Five problems, accumulated as three and two."""

    def gradient(**sizes):
        model, tokenizer, tags = load_checkpoint(base)
        watching = Watching()
        trainer = GFPOTrainer(
            model, config(tmp_path, max_steps=1, max_grad_norm=1e9, **sizes), processing_class=tokenizer, tags=tags,
            train_dataset=rows(rl_problems(5)), callbacks=[watching],
        )  # fmt: skip
        trainer.train()
        return watching, trainer.state.log_history[0]

    whole, expected = gradient(per_device_train_batch_size=5)
    parts, found = gradient(per_device_train_batch_size=3, gradient_accumulation_steps=2)
    assert (whole.rows, parts.rows) == ([5], [3, 2])
    same(parts, whole)
    for name in ("loss", "reward", "entropy", "usage_1"):
        assert found[name] == pytest.approx(expected[name], abs=1e-6)


def test_a_fold_in_parts_is_the_fold(routed, steps_of):
    def phase(size, **anchor):
        anchor = {"sequences": 9, **anchor}
        return FoldPhase(kind="fold", micro_batch_size=size, max_grad_norm=1e9, anchor=anchor)

    # At the first step the KL to the model before is 0, and so is its gradient: the second is looked at too.
    whole, expected, _ = steps_of(fold.fold_router, routed, phase(None))
    parts, found, _ = steps_of(
        fold.fold_router, routed, phase(2, micro_batch_size=2).model_copy(update={"gradient_checkpointing": True})
    )
    assert max(whole.rows) == 9
    assert max(parts.rows) == 2
    same(parts, whole)
    assert expected.log[1]["anchor"] > 1e-7
    assert found.log[1]["anchor"] == pytest.approx(expected.log[1]["anchor"], rel=1e-2)


@pytest.mark.parametrize("tag", ["first", "own"])
def test_sampling_while_traces_are_trained_is_bounded(base, steps_of, monkeypatch, tag):
    from trl import GRPOTrainer

    from forkpipe.training.phases.drawing import LoadedEngine

    seen = []
    owner, name = {"first": (GRPOTrainer, "_generate_single_turn"), "own": (LoadedEngine, "_batch")}[tag]
    original = getattr(owner, name)

    def counted(self, rows, *arguments, **kwargs):
        seen.append(len(rows))
        return original(self, rows, *arguments, **kwargs)

    monkeypatch.setattr(owner, name, counted)
    phase = TracesPhase(kind="traces", tag=tag, learning_rate=1e-3)
    _, result, _ = steps_of(traces.train_traces, base, phase, steps=1, batch_rows=10)
    assert seen == [10, 10, 4]
    assert len(result.rewards) == STEP
    per_problem = [row["problem_id"] for row in result.rewards]
    assert all(a == b for i, (a, b) in enumerate(pairwise(per_problem), start=1) if i % ROLLOUTS.group_size)


@pytest.mark.parametrize("kind", ["traces", "tags"])
def test_a_killed_training_goes_on_with_smaller_passes(base, tmp_path, rl_problems, monkeypatch, kind):
    def phases(size):
        if kind == "traces":
            phase = {"tag": "own", "learning_rate": 1e-3}
        else:
            anchor = {"kind": "kl", "sequences": 8, "micro_batch_size": size}
            phase = {"scope": "full", "learning_rate": 1e-3, "anchor": anchor}
        return {"one": {"kind": kind, "save_every": 2, "micro_batch_size": size, **phase}}

    arguments = {"problems": rl_problems(6), "verify": odd_length, "steps": 4}
    whole, folder = train(base, tmp_path / "whole", phases=phases(None), **arguments)
    original, taken = Trainer.training_step, 0

    def dying(self, *args, **kwargs):
        nonlocal taken
        taken += 1
        if taken == 4:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "training_step", dying)
        with pytest.raises(KeyboardInterrupt):
            train(base, tmp_path / "killed", phases=phases(None), **arguments)
    resumed, again = train(base, tmp_path / "killed", phases=phases(2), **arguments)
    assert resumed.rewards[: 2 * STEP] == whole.rewards[: 2 * STEP]
    assert [row["step"] for row in resumed.log] == [1, 2, 3, 4]
    assert [row["loss"] for row in resumed.log[:2]] == [row["loss"] for row in whole.log[:2]]
    assert [row["reward"] for row in resumed.log] == pytest.approx([row["reward"] for row in whole.log], abs=1e-4)
    before, after = weights_of(folder), weights_of(again)
    moved = max(float((one - weights_of(base)[name]).abs().max()) for name, one in before.items())
    assert max(float((one - after[name]).abs().max()) for name, one in before.items()) < moved / 2


@pytest.mark.parametrize("kind", ["traces", "tags", "fold"])
def test_bfloat16_computes_in_it_and_keeps_weights_in_float32(base, routed, steps_of, kind):
    anchor = {"kind": "kl", "sequences": 6, "micro_batch_size": 4, "logit_chunk": 16}
    runner, parent, phase = {
        "traces": (traces.train_traces, routed, TracesPhase(kind="traces", tag="router", learning_rate=1e-3)),
        "tags": (tags.train_tags, base, TagsPhase(kind="tags", scope="full", learning_rate=1e-3, anchor=anchor)),
        "fold": (fold.fold_router, routed, FoldPhase(kind="fold", anchor=anchor)),
    }[kind]
    exact, expected, _ = steps_of(runner, parent, phase, steps=1)
    rough, found, folder = steps_of(runner, parent, phase.model_copy(update={"bf16": True}), steps=1)
    assert {one.dtype for one in weights_of(folder).values()} == {torch.float32}
    assert any(not torch.equal(rough.gradients[0][name], one) for name, one in exact.gradients[0].items())
    if kind == "traces":
        return
    # The model before is computed alike: nothing has moved yet, so there is nothing to hold.
    assert found.log[0]["anchor"] == pytest.approx(0.0, abs=1e-6)
    assert found.log[0]["loss"] == pytest.approx(expected.log[0]["loss"], rel=0.05, abs=0.02)


def test_passes_that_do_not_make_up_a_step_are_refused(base, tmp_path, rl_problems):
    phases = {"one": {"kind": "traces", "micro_batch_size": 5}}
    with pytest.raises(ValueError, match="phase one has micro_batch_size 5, expected a divisor of 24, the rollouts"):
        train(base, tmp_path, rl_problems(4), phases, steps=1)
    schedule = Schedule.model_validate({"two": {"kind": "tags", "micro_batch_size": 3}})
    with pytest.raises(ValueError, match="phase two has micro_batch_size 3, expected a divisor of 32, the problems"):
        schedule.steps(RolloutSettings())
