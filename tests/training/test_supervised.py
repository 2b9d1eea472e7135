"""Supervised training: what the methods share, what the loss does not depend on, a golden curve."""

import dataclasses

import numpy as np
import pytest
import torch

from forkpipe.core.errors import InputError
from forkpipe.models.checkpoint import encoder, load_checkpoint, render_prompt
from forkpipe.parameters import LoraSettings, SupervisedSettings
from forkpipe.training.supervised import train_supervised

SETTINGS = SupervisedSettings(
    problems_per_step=4,
    max_steps=20,
    learning_rate=4e-3,
    warmup_steps=2,
    weight_decay=0.01,
    prefix_length=8,
    rematch_every=2,
)

GOLDEN = [5.31235, 5.30442, 5.21477, 5.06494, 4.91282, 4.77577, 4.6379, 4.53313, 4.44155, 4.32445]
GOLDEN += [4.24496, 4.17831, 4.11425, 4.07889, 4.01122, 3.96269, 4.01744, 3.97078, 3.9451, 3.96696]
"""Losses of the first 20 steps of ssft: float32, one thread, seed 0. A change that is not meant to change training must
reproduce them; one that is must say so and write them anew."""


def train(base, tmp_path, sets, name="ssft", seed=0, assignment="optimal", **changes):
    settings = SETTINGS.model_copy(update=changes)
    folder = tmp_path / name
    result = train_supervised(name, base, folder, tmp_path / "work", sets, settings, assignment, "{problem}", seed)
    return result, folder


def losses(result):
    return [row["loss"] for row in result.training_log]


def test_golden_loss_curve(base, tmp_path, trace_sets):
    result, _ = train(base, tmp_path, trace_sets(12))
    assert losses(result) == pytest.approx(GOLDEN, rel=1e-3)


def test_all_methods_see_the_same_tokens_in_the_same_order(base, tmp_path, trace_sets):
    logs = {
        assignment: train(base, tmp_path, trace_sets(12), assignment, assignment=assignment, max_steps=5)[0]
        for assignment in ("single", "random", "optimal")
    }
    tokens = {name: [row["tokens"] for row in result.training_log] for name, result in logs.items()}
    assert tokens["single"] == tokens["random"] == tokens["optimal"]
    expected = sum(len(trace.text.split()) + 1 for one in trace_sets(12) for trace in one.traces)
    assert sum(tokens["single"][:3]) == expected  # 12 problems in 3 steps: one pass over all of them


def test_the_order_of_traces_changes_nothing(base, tmp_path, trace_sets):
    """The set loss is invariant to permuting a problem's traces (paper): the same losses, to rounding."""
    generator = np.random.default_rng(0)
    shuffled = [
        dataclasses.replace(one, traces=tuple(one.traces[i] for i in generator.permutation(4)))
        for one in trace_sets(12)
    ]
    first, _ = train(base, tmp_path, trace_sets(12), max_steps=6)
    second, _ = train(base, tmp_path, shuffled, max_steps=6)
    assert losses(second) == pytest.approx(losses(first), rel=1e-5)


def test_gradient_accumulation_changes_nothing(base, tmp_path, trace_sets):
    whole, _ = train(base, tmp_path, trace_sets(12), max_steps=6)
    parts, _ = train(base, tmp_path, trace_sets(12), max_steps=6, problems_per_step=2, gradient_accumulation=2)
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-4)


def test_matching_costs_equal_the_naive_ones(base, tmp_path, trace_sets):
    """The first step's logged costs against one sequence at a time; every set's tags are distinct."""
    sets = trace_sets(4)
    result, _ = train(base, tmp_path, sets, max_steps=1)
    model, tokenizer, tags = load_checkpoint(base)
    encode = encoder(tokenizer)
    assert len(result.matching) == 16
    for row in result.matching:
        one = next(one for one in sets if one.problem_id == row["problem_id"])
        text = next(trace.text for trace in one.traces if trace.trace_id == row["trace_id"])
        prompt = encode(render_prompt(tokenizer, one.problem, tags.tags[row["tag"]]))
        ids = torch.tensor([[*prompt, *encode(text), tokenizer.eos_token_id]])
        labels = ids.clone()
        labels[:, : len(prompt)] = labels[:, len(prompt) + 8 :] = -100
        with torch.no_grad():
            cost = model(input_ids=ids, labels=labels).loss.item()  # transformers' own: the mean over labels
        assert row["cost"] == pytest.approx(cost, abs=1e-4)
        assert row["margin"] >= -1e-9
    for one in sets:
        assert len({row["tag"] for row in result.matching if row["problem_id"] == one.problem_id}) == 4


def test_a_problem_keeps_its_matching_between_rematches(base, tmp_path, trace_sets):
    result, _ = train(base, tmp_path, trace_sets(4), max_steps=5, rematch_every=2)
    assert {row["visit"] for row in result.matching} == {0, 2, 4}
    assert sorted({row["step"] for row in result.matching}) == [0, 2, 4]


def test_fewer_traces_than_m_are_fine(base, tmp_path, trace_sets):
    mixed = [
        *trace_sets(2, 4),
        *(dataclasses.replace(one, problem_id=one.problem_id + "x") for one in trace_sets(2, 2)),
    ]
    result, _ = train(base, tmp_path, mixed, max_steps=2)
    assert all(np.isfinite(losses(result)))


def test_the_checkpoint_says_which_tags_it_has(base, tmp_path, trace_sets):
    _, plain = train(base, tmp_path, trace_sets(4), "sft", assignment="single", max_steps=1)
    _, tagged = train(base, tmp_path, trace_sets(4), "ssft", max_steps=1)
    assert load_checkpoint(plain)[2].tags == ("<think>",)
    assert load_checkpoint(tagged)[2].n == 6
    assert not list(tagged.glob("*.bin"))


def test_no_trace_set_is_an_input_error(base, tmp_path):
    with pytest.raises(InputError, match="trace_sets holds no set"):
        train(base, tmp_path, [])


class KilledError(Exception):
    """Stands for a kill: nothing may catch it."""


def killed_at(step, monkeypatch):
    """Let the next training die behind a step."""
    from forkpipe.training.ssft import SSFTTrainer

    original = SSFTTrainer.compute_loss

    def dying(self, *args, **kwargs):
        if self.state.global_step == step:
            raise KilledError
        return original(self, *args, **kwargs)

    monkeypatch.setattr(SSFTTrainer, "compute_loss", dying)


def test_a_killed_training_goes_on_where_it_was(base, tmp_path, trace_sets, monkeypatch, caplog):
    whole, _ = train(base, tmp_path, trace_sets(10), "whole", save_every=4)
    with monkeypatch.context() as patch:
        killed_at(11, patch)
        with pytest.raises(KilledError):
            train(base, tmp_path, trace_sets(10), save_every=4)
    assert [path.name for path in (tmp_path / "work").glob("checkpoint-*")] == ["checkpoint-8"]
    with caplog.at_level("INFO", logger="forkpipe"):
        result, folder = train(base, tmp_path, trace_sets(10), save_every=4)
    assert "ssft: goes on from checkpoint-8" in caplog.text
    assert losses(result) == losses(whole)
    assert result.matching == whole.matching
    assert [row["step"] for row in result.training_log] == list(range(1, 21))
    assert (folder / "forking.json").exists()
    assert not list((tmp_path / "work").glob("checkpoint-*"))


def test_an_optimiser_step_is_one_batch_in_passes(base, tmp_path, trace_sets, monkeypatch):
    """The same losses as of whole batches, matchings included, from as many batches as there are steps."""
    from forkpipe.training.ssft import SSFTTrainer

    sizes, original = [], SSFTTrainer.compute_loss

    def counted(self, model, inputs, **kwargs):
        sizes.append(len(inputs["problem_index"]))
        return original(self, model, inputs, **kwargs)

    whole, _ = train(base, tmp_path, trace_sets(12), max_steps=6)
    monkeypatch.setattr(SSFTTrainer, "compute_loss", counted)
    changes = {"problems_per_step": 2, "gradient_accumulation": 2, "pass_tokens": 40}
    parts, _ = train(base, tmp_path, trace_sets(12), max_steps=6, **changes)
    assert sizes == [4] * 6
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-5)
    assert [row["tag"] for row in parts.matching] == [row["tag"] for row in whole.matching]


SMALLER = {"pass_tokens": 40, "matching_tokens": 40, "logit_chunk": 7, "gradient_checkpointing": True, "save_every": 3}


def test_a_training_that_ran_out_of_memory_goes_on_with_smaller_passes(base, tmp_path, trace_sets, monkeypatch, caplog):
    whole, _ = train(base, tmp_path, trace_sets(10), "whole", save_every=4)
    with monkeypatch.context() as patch:
        killed_at(11, patch)
        with pytest.raises(KilledError):
            train(base, tmp_path, trace_sets(10), save_every=4)
    with caplog.at_level("INFO", logger="forkpipe"):
        result, _ = train(base, tmp_path, trace_sets(10), **SMALLER, problems_per_step=2, gradient_accumulation=2)
    assert "ssft: goes on from checkpoint-8" in caplog.text
    assert losses(result)[:8] == losses(whole)[:8]
    assert losses(result) == pytest.approx(losses(whole), rel=1e-4)


@pytest.mark.parametrize("changes", [{"learning_rate": 1e-3}, {"seed": 1}, {"sets": 9}, {"assignment": "random"}])
def test_what_another_training_has_left_is_not_gone_on_from(base, tmp_path, trace_sets, monkeypatch, changes):
    sets = trace_sets(changes.pop("sets", 10))
    with monkeypatch.context() as patch:
        killed_at(3, patch)
        with pytest.raises(KilledError):
            train(base, tmp_path, trace_sets(10), save_every=2)
    after, _ = train(base, tmp_path, sets, save_every=2, max_steps=20, **changes)
    fresh, _ = train(base, tmp_path / "elsewhere", sets, save_every=2, **changes)
    assert losses(after) == losses(fresh)


def test_evaluation_goes_into_the_log(base, tmp_path, trace_sets):
    folder = tmp_path / "ssft"
    settings = SETTINGS.model_copy(update={"max_steps": 6, "evaluate_every": 3})
    arguments = ("ssft", base, folder, tmp_path / "work", trace_sets(8), settings, "optimal", "{problem}", 0)
    result = train_supervised(*arguments, held_out=trace_sets(12)[8:])
    evaluated = {row["step"]: row for row in result.training_log if "eval_loss" in row}
    assert list(evaluated) == [3, 6]
    assert sum(evaluated[6]["tag_usage"]) == pytest.approx(1)
    assert 0 < evaluated[6]["tag_purity"] <= 1
    with pytest.raises(InputError, match="no trace set is of split validation"):
        train_supervised(*arguments)


def test_an_adapter_is_merged_into_the_checkpoint(base, tmp_path, trace_sets):
    result, folder = train(base, tmp_path, trace_sets(8), lora=LoraSettings(rank=4), learning_rate=1e-2)
    model, _, tags = load_checkpoint(folder)
    assert tags.n == 6
    assert losses(result)[-1] < losses(result)[0]
    assert {path.name for path in folder.glob("*.safetensors")} == {"model.safetensors"}
    assert not any("lora" in name for name in model.state_dict())


def test_epochs_give_the_steps_and_a_share_of_them_warms_up(base, tmp_path, trace_sets):
    """10 sets, 4 a step: 3 steps an epoch, 6 in two epochs; a third of 6 is two steps of warm-up."""
    changes = {"max_steps": None, "epochs": 2.0, "warmup_steps": 1 / 3, "bf16": "auto"}
    by_epochs, _ = train(base, tmp_path, trace_sets(10), **changes)
    by_steps, _ = train(base, tmp_path, trace_sets(10), max_steps=6, warmup_steps=2)
    assert losses(by_epochs) == losses(by_steps)
    assert [row["learning_rate"] for row in by_epochs.training_log] == [
        row["learning_rate"] for row in by_steps.training_log
    ]
