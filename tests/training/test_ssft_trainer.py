"""SSFTTrainer as others use it: exactness, invariance, and what it has from transformers.Trainer."""

import itertools
import json

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from forkpipe import SSFTConfig, SSFTTrainer, load_trace_sets
from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.models.checkpoint import encoder, load_checkpoint, load_tags, render_prompt
from forkpipe.models.tagging import plain_tag


def as_table(sets):
    rows = [
        {
            "problem_id": one.problem_id,
            "problem": one.problem,
            "traces": [{"text": t.text, "trace_id": t.trace_id, "teacher": t.teacher} for t in one.traces],
        }
        for one in sets
    ]
    return Dataset.from_list(rows)


@pytest.fixture
def trainer(base, tmp_path):
    """A function that makes a trainer of a fresh model."""
    numbers = itertools.count()

    def make(sets, *, eval_sets=None, tags=None, model=None, peft_config=None, **changes):
        own, tokenizer, all_tags = load_checkpoint(base)
        settings = {
            "output_dir": str(tmp_path / f"run{next(numbers)}"),
            "max_steps": 6,
            "per_device_train_batch_size": 4,
            "per_device_eval_batch_size": 4,
            "learning_rate": 4e-3,
            "prefix_length": 8,
            "rematch_every": 2,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": [],
            "disable_tqdm": True,
            "use_cpu": True,
            "dataloader_pin_memory": False,
            "seed": 0,
        }
        return SSFTTrainer(
            model or own,
            SSFTConfig(**{**settings, **changes}),
            processing_class=tokenizer,
            tags=tags or all_tags,
            train_dataset=as_table(sets),
            eval_dataset=as_table(eval_sets) if eval_sets else None,
            peft_config=peft_config,
        )

    return make


def losses(trained):
    return [logs["loss"] for logs in trained.state.log_history if "loss" in logs]


def weights(trained):
    return {name: value.clone() for name, value in trained.model.state_dict().items()}


def test_one_trace_behind_one_tag_is_transformers_trainer_to_the_bit(base, tmp_path, trainer, trace_sets):
    """N = M = 1 without tag loss against transformers.Trainer with labels: losses and weights over 20 steps."""
    sets = trace_sets(12, 1)
    model, tokenizer, all_tags = load_checkpoint(base)
    ours = trainer(sets, assignment="single", tags=plain_tag(all_tags.style, tokenizer), tag_weight=0.0, max_steps=20)
    ours.train()

    encode = encoder(tokenizer)
    rows = []
    for one in sets:
        prompt = encode(render_prompt(tokenizer, one.problem, "<think>"))
        trace = [*encode(one.traces[0].text), tokenizer.eos_token_id]
        rows.append({"input_ids": prompt + trace, "labels": [-100] * len(prompt) + trace})

    def collate(items):
        longest = max(len(item["input_ids"]) for item in items)
        pads = [longest - len(item["input_ids"]) for item in items]
        batch = {
            "input_ids": [i["input_ids"] + [tokenizer.pad_token_id] * p for i, p in zip(items, pads, strict=True)],
            "labels": [i["labels"] + [-100] * p for i, p in zip(items, pads, strict=True)],
            "attention_mask": [[1] * len(i["input_ids"]) + [0] * p for i, p in zip(items, pads, strict=True)],
        }
        return {name: torch.tensor(value) for name, value in batch.items()}

    settings = ours.args.to_dict()
    known = {name: settings[name] for name in ("max_steps", "per_device_train_batch_size", "learning_rate", "seed")}
    plain = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(tmp_path / "plain"), logging_steps=1, save_strategy="no", report_to=[], use_cpu=True,
            disable_tqdm=True, dataloader_pin_memory=False, **known,
        ),
        train_dataset=Dataset.from_list(rows),
        data_collator=collate,
    )  # fmt: skip
    plain.train()
    assert losses(ours) == losses(plain)
    theirs = weights(plain)
    assert all(torch.equal(value, theirs[name]) for name, value in weights(ours).items())


def gradient(made, tags=None):
    """Return the loss of the first batch and the gradient of every weight, in float64."""
    made.model.double()
    batch = next(iter(made.get_train_dataloader()))
    loss = made.compute_loss(made.model, batch)
    loss.backward()
    return loss.item(), {name: value.grad for name, value in made.model.named_parameters()}


def test_permuting_traces_changes_neither_loss_nor_gradient(trainer, trace_sets):
    sets = trace_sets(4)
    reversed_ids = as_table(sets).map(lambda row: {"traces": row["traces"][::-1]})
    made = trainer(sets)
    other = trainer(sets)
    # Other ids put the traces into another order: the trainer sorts them by their ids.
    renamed = reversed_ids.map(
        lambda row: {"traces": [{**trace, "trace_id": f"z{i}"} for i, trace in enumerate(row["traces"])]}
    )
    other = SSFTTrainer(other.model, other.args, processing_class=other.processing_class, tags=other.tags,
                        train_dataset=renamed)  # fmt: skip
    (loss, grads), (loss_other, grads_other) = gradient(made), gradient(other)
    assert loss_other == pytest.approx(loss, rel=1e-12)
    assert all(torch.allclose(grads_other[name], value, atol=1e-12) for name, value in grads.items())


def test_renaming_tags_renames_their_rows_and_nothing_else(trainer, trace_sets):
    """Tags permuted and their embedding and output rows with them: the same loss, the same gradient elsewhere."""
    sets = trace_sets(4)
    made, other = trainer(sets), trainer(sets)
    ids = [ids[0] for ids in made.tags.token_ids]
    order = [3, 5, 0, 1, 4, 2]
    renamed = ForkingTags(
        made.tags.style, tuple(made.tags.tags[i] for i in order), tuple(made.tags.token_ids[i] for i in order), (0,)
    )
    rows = torch.tensor(ids)
    # The weights of tag i go to the token that is called tag i from now on.
    for matrix in (other.model.get_input_embeddings(), other.model.get_output_embeddings()):
        matrix.weight.data[rows[order]] = matrix.weight.data[rows].clone()
    other = SSFTTrainer(other.model, other.args, processing_class=other.processing_class, tags=renamed,
                        train_dataset=as_table(sets))  # fmt: skip
    (loss, grads), (loss_other, grads_other) = gradient(made), gradient(other)
    assert loss_other == pytest.approx(loss, rel=1e-12)
    for name, value in grads.items():
        moved = grads_other[name]
        if name in ("model.embed_tokens.weight", "lm_head.weight"):
            moved = moved.clone()
            moved[rows] = grads_other[name][rows[order]]
        assert torch.allclose(moved, value, atol=1e-12), name


def test_no_gradient_passes_through_the_costs(trainer, trace_sets):
    """The gradient is that of the matched sequences with the tags held fixed: kept matchings give the same."""
    made = trainer(trace_sets(4))
    loss, grads = gradient(made)
    made.model.zero_grad()
    again = made.compute_loss(made.model, next(iter(made.get_train_dataloader())))  # visit 1: no costs are computed
    again.backward()
    assert again.item() == pytest.approx(loss, rel=1e-12)
    assert all(torch.allclose(value.grad, grads[name], atol=1e-14) for name, value in made.model.named_parameters())


@pytest.mark.parametrize("size", [{"logit_chunk": 16}, {"matching_tokens": 1}, {"shared_prompt": False}])
def test_what_bounds_memory_changes_nothing(trainer, trace_sets, size):
    whole, parts = trainer(trace_sets(12)), trainer(trace_sets(12), **size)
    whole.train()
    parts.train()
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-4)
    assert [row["tag"] for row in parts.matchings.log] == [row["tag"] for row in whole.matchings.log]


def test_a_prior_decides_where_its_weight_is_large(trainer, trace_sets):
    """By teacher, with a weight beside which costs are nothing: every teacher ends under one tag, in all problems."""
    rule = {"consistency_weight": 1e6, "consistency_features": "teacher"}
    made = trainer(trace_sets(12), max_steps=12, rematch_every=10, **rule)
    made.train()
    last = {(row["problem_id"], row["trace_id"]): row for row in made.matchings.log}.values()
    assert len({(row["teacher"], row["tag"]) for row in last}) == len({row["teacher"] for row in last})
    assert all(row["margin"] >= -1e-6 for row in last)


def test_a_prior_is_off_in_evaluation(trainer, trace_sets):
    """The model's own matching is what tags are judged by."""
    made = trainer(trace_sets(4), eval_sets=trace_sets(8), consistency_weight=1e6, consistency_features="teacher")
    plain = trainer(trace_sets(4), eval_sets=trace_sets(8))
    names = ("eval_loss", "eval_tag_purity", "eval_tag_information_bits")
    measured, expected = made.evaluate(), plain.evaluate()
    assert [measured[name] for name in names] == [expected[name] for name in names]


def test_first_visits_read_whole_traces(trainer, trace_sets):
    """The first visit's costs are those of L null, the second's those of the prefix."""
    whole, prefix, mixed = (
        trainer(trace_sets(4), max_steps=2, learning_rate=0.0, rematch_every=1, **changes)
        for changes in ({"prefix_length": None}, {"prefix_length": 4}, {"prefix_length": 4, "whole_visits": 1})
    )
    logs = []
    for made in (whole, prefix, mixed):
        made.train()
        logs.append({(row["visit"], row["trace_id"]): row["cost"] for row in made.matchings.log})
    expected = {key: logs[0][key] if key[0] == 0 else logs[1][key] for key in logs[2]}
    assert logs[2] == pytest.approx(expected, abs=1e-6)
    assert logs[2] != pytest.approx(logs[1], abs=1e-3)


def test_nothing_leaks_between_the_sequences_of_a_batch(trainer, trace_sets):
    """The loss of a batch is the mean over its tokens of what each problem has alone, whatever it is padded to."""
    sets = [*trace_sets(2, 4), *trace_sets(4, 2)[2:], *trace_sets(5, 1)[4:]]
    made = trainer(sets, assignment="random", per_device_train_batch_size=5, tag_weight=0.0)
    collate, rows = made.data_collator, [made.train_dataset[i] for i in range(5)]
    model = made.model.double()
    together = made.compute_loss(model, collate(rows)).item()
    made = trainer(sets, assignment="random", model=model, tag_weight=0.0)
    counts = [sum(map(len, row["traces"])) for row in rows]
    alone = [made.compute_loss(model, collate([row])).item() for row in rows]
    assert together == pytest.approx(np.average(alone, weights=counts), rel=1e-10)


def test_length_grouping_puts_like_lengths_together(trainer, trace_sets):
    """Batches of two under group_by_length differ less in length than in random order."""
    sets = trace_sets(40, 1)
    spread = {}
    for strategy in ("random", "group_by_length"):
        made = trainer(
            sets, assignment="random", train_sampling_strategy=strategy, per_device_train_batch_size=2, logging_steps=1
        )
        lengths = [batch["attention_mask"].sum(dim=-1)[:, 0] for batch in made.get_train_dataloader()]
        spread[strategy] = np.mean([(pair.max() - pair.min()).item() for pair in lengths])
    assert spread["group_by_length"] < spread["random"] / 2


class Kill(TrainerCallback):
    """Ends the training after some steps without letting it save."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise KeyboardInterrupt


PRIOR = {"rematch_gaps": "doubling", "whole_visits": 1, "consistency_weight": 0.5}


@pytest.mark.parametrize("step", [3, 5, 8])
@pytest.mark.parametrize("rule", [{}, PRIOR, {"assignment": "random"}])
def test_a_killed_training_goes_on_bit_by_bit(trainer, trace_sets, step, rule):
    """With a prior its counts, and the costs that are solved again, go on too."""
    changes = {"max_steps": 10, "rematch_every": 3, "save_strategy": "steps", "save_steps": 2, **rule}
    whole = trainer(trace_sets(10), **changes)
    whole.train()
    killed = trainer(trace_sets(10), **changes)
    killed.add_callback(Kill(step))
    with pytest.raises(KeyboardInterrupt):
        killed.train()
    resumed = trainer(trace_sets(10), **changes, output_dir=killed.args.output_dir)
    resumed.train(resume_from_checkpoint=True)
    assert losses(resumed) == losses(whole)
    assert resumed.matchings.log == whole.matchings.log
    expected = weights(whole)
    assert all(torch.equal(value, expected[name]) for name, value in weights(resumed).items())


def test_a_half_written_checkpoint_is_passed_over(trainer, trace_sets):
    made = trainer(trace_sets(4), save_strategy="steps", save_steps=2)
    made.train()
    torn = made.args.output_dir + "/checkpoint-6/trainer_state.json"
    with open(torn) as file:
        text = file.read()
    with open(torn, "w") as file:
        file.write(text[: len(text) // 2])
    resumed = trainer(trace_sets(4), output_dir=made.args.output_dir)
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == 6
    assert losses(resumed) == losses(made)


def test_it_does_not_go_on_with_other_trace_sets(trainer, trace_sets):
    made = trainer(trace_sets(4), save_strategy="steps", save_steps=2)
    made.train()
    other = trainer(trace_sets(5)[1:], output_dir=made.args.output_dir)
    with pytest.raises(InputError, match="is of other trace sets"):
        other.train(resume_from_checkpoint=True)


def test_nothing_to_resume_from_is_an_input_error(trainer, trace_sets):
    with pytest.raises(InputError, match="no complete checkpoint"):
        trainer(trace_sets(4)).train(resume_from_checkpoint=True)


def test_a_checkpoint_of_the_trainer_is_a_checkpoint(trainer, trace_sets):
    made = trainer(trace_sets(4), save_strategy="steps", save_steps=3)
    made.train()
    model, _, tags = load_checkpoint(made.args.output_dir + "/checkpoint-6")
    assert tags == made.tags
    assert all(torch.equal(value, made.model.state_dict()[name]) for name, value in model.state_dict().items())


def test_evaluation_tells_what_tags_are_used_for(trainer, trace_sets):
    made = trainer(trace_sets(12), eval_sets=trace_sets(6), eval_strategy="steps", eval_steps=3)
    made.train()
    found = [logs for logs in made.state.log_history if "eval_loss" in logs]
    assert [logs["step"] for logs in found] == [3, 6]
    for logs in found:
        assert sum(logs[f"eval_usage_{i}"] for i in range(1, 7)) == pytest.approx(1)
        assert 0 < logs["eval_tag_purity"] <= 1
        assert 0 <= logs["eval_tag_information_bits"] <= np.log2(6)
    # What is evaluated leaves no trace in the training.
    plain = trainer(trace_sets(12))
    plain.train()
    assert losses(plain) == losses(made)
    assert plain.matchings.log == made.matchings.log


def test_the_loss_of_an_evaluation_does_not_depend_on_its_batches(trainer, trace_sets):
    """Sum of NLL by number of tokens over all problems, computed here one problem at a time, whatever the batches."""
    sets = [*trace_sets(3, 4), *trace_sets(6, 1)[3:], *trace_sets(7, 2)[6:]]
    found = [trainer(sets, eval_sets=sets, per_device_eval_batch_size=size).evaluate() for size in (1, 3, 7)]
    made = trainer(sets, rematch_every=1)
    sums = np.zeros(4)
    for row in made.train_dataset:
        batch = made.data_collator([row])
        tokens = sum(map(len, row["traces"]))
        made.args.tag_weight = 0.0
        traces = made.compute_loss(made.model.eval(), batch).item()
        made.args.tag_weight = 1.0
        both = made.compute_loss(made.model.eval(), batch).item()
        sums += [traces * tokens, tokens, (both - traces) * len(row["traces"]), len(row["traces"])]
    expected = sums[0] / sums[1] + 0.1 * sums[2] / sums[3]
    for metrics in found:
        assert metrics["eval_loss"] == pytest.approx(expected, abs=2e-6)
        assert metrics["eval_usage_1"] == found[0]["eval_usage_1"]


def test_evaluation_of_tags_fixed_by_teacher_is_pure(trainer, trace_sets):
    made = trainer(trace_sets(12), assignment="fixed", eval_sets=trace_sets(12))
    metrics = made.evaluate()
    assert "eval_tag_purity" in metrics
    assert metrics["eval_tag_purity"] == 1
    assert metrics["eval_tag_information_bits"] > 2.5
    assert made.evaluate(as_table(trace_sets(5)))["eval_tag_purity"] == 1


def test_the_log_says_where_time_and_loss_go(trainer, trace_sets):
    made = trainer(trace_sets(12), tag_weight=0.5)
    made.train()
    for logs in made.state.log_history[:-1]:
        assert logs["loss"] == pytest.approx(logs["trace_loss"] + 0.5 * logs["tag_loss"], rel=1e-5)
        assert 0 <= logs["matching_seconds"] < logs["seconds"]
        assert logs["tokens"] > 0
    rematched = [logs["matching_seconds"] for logs in made.state.log_history[:3]]
    assert max(rematched) > 0


def test_accumulated_batches_weigh_by_tokens(trainer, trace_sets):
    sets = [*trace_sets(4, 4), *trace_sets(8, 1)[4:]]
    whole, parts = trainer(sets, per_device_train_batch_size=8), trainer(
        sets, per_device_train_batch_size=2, gradient_accumulation_steps=4
    )  # fmt: skip
    whole.train()
    parts.train()
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-4)


@pytest.mark.parametrize("changes", [{"bf16": True}, {"gradient_checkpointing": True}, {"torch_empty_cache_steps": 1}])
def test_the_base_class_s_options_work(trainer, trace_sets, changes):
    plain, other = trainer(trace_sets(4)), trainer(trace_sets(4), **changes)
    plain.train()
    other.train()
    assert losses(other) == pytest.approx(losses(plain), rel=2e-2)


def test_tensorboard_gets_the_losses(trainer, trace_sets, tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    made = trainer(trace_sets(4), report_to=["tensorboard"])
    made.train()
    found = EventAccumulator(str(tmp_path / "board"))
    found.Reload()
    assert [event.value for event in found.Scalars("train/loss")] == pytest.approx(losses(made))
    assert "train/matching_seconds" in found.Tags()["scalars"]


def test_an_adapter_trains_itself_and_the_tags_alone(base, trainer, trace_sets):
    from forkpipe.models.adapters import lora_config, merged
    from forkpipe.parameters import LoraSettings

    model, tokenizer, tags = load_checkpoint(base)
    settings = LoraSettings(rank=4)
    made = trainer(trace_sets(4), peft_config=lora_config(settings), learning_rate=1e-2)
    made.train()
    assert losses(made)[-1] < losses(made)[0]
    whole = merged(made.model)
    before, after = model.state_dict(), whole.state_dict()
    assert list(before) == list(after)
    rows = [ids[0] for ids in tags.token_ids]
    others = [i for i in range(len(tokenizer)) if i not in rows]
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        assert torch.equal(before[name][others], after[name][others]), name
        assert not torch.equal(before[name][rows], after[name][rows]), name
    assert not torch.equal(before["model.layers.0.mlp.up_proj.weight"], after["model.layers.0.mlp.up_proj.weight"])


def test_what_does_not_fit_together_is_refused(base, trainer, trace_sets, tmp_path):
    with pytest.raises(InputError, match="'single' with 6 tags"):
        trainer(trace_sets(2), assignment="single")
    with pytest.raises(InputError, match="a trace has no mode"):
        trainer(trace_sets(2), assignment="fixed", mode_field="strategy")
    model, tokenizer, tags = load_checkpoint(base)
    foreign = ForkingTags(tags.style, tags.tags, ((1,), (2,), (3,), (4,), (5,), (6,)), (0,))
    with pytest.raises(InputError, match="the tokenizer encodes tag '<think1>' as"):
        trainer(trace_sets(2), tags=foreign)
    with pytest.raises(TypeError, match="expected an SSFTConfig"):
        SSFTTrainer(model, TrainingArguments(output_dir=str(tmp_path)), processing_class=tokenizer, tags=tags)


def test_half_precision_weights_are_refused(base, trainer, trace_sets):
    """AdamW's small updates would be rounded away in bfloat16 while the loss still falls a little."""
    model = load_checkpoint(base)[0].bfloat16()
    with pytest.raises(InputError, match=r"is torch.bfloat16, expected float32"):
        trainer(trace_sets(2), model=model)


def test_evaluation_knows_the_tags_that_modes_were_trained_with(trainer, trace_sets):
    """Of six teachers the evaluated sets hold four, whose tags are those of training; an unknown one is named."""
    sets = trace_sets(12)
    few = [one for one in sets if {t.teacher for t in one.traces} == {t.teacher for t in sets[2].traces}]
    made = trainer(sets, assignment="fixed", eval_sets=few)
    made.evaluate()
    made.train()
    tag_of = {row["teacher"]: row["tag"] for row in made.matchings.log}
    evaluated = made._fresh_matchings("eval")
    for index, one in enumerate(few):
        by_id = sorted(one.traces, key=lambda trace: trace.trace_id)
        assert evaluated.visit(index).tags == [tag_of[trace.teacher] for trace in by_id]
    with pytest.raises(InputError, match="is not among those trained on"):
        trainer(few, assignment="fixed", eval_sets=sets)


def test_evaluating_another_table_leaves_the_next_evaluation_alone(trainer, trace_sets):
    made = trainer(trace_sets(4), eval_sets=trace_sets(10))
    first = made.evaluate()
    made.evaluate(as_table(trace_sets(2)))
    again = made.evaluate()
    same = [name for name in first if "runtime" not in name and "per_second" not in name]
    assert {name: first[name] for name in same} == {name: again[name] for name in same}


def test_what_the_trainer_would_ignore_is_refused(trainer, base, trace_sets, tmp_path):
    model, tokenizer, tags = load_checkpoint(base)
    with pytest.raises(InputError, match="compute_metrics is given"):
        SSFTTrainer(
            model, SSFTConfig(output_dir=str(tmp_path), use_cpu=True), processing_class=tokenizer, tags=tags,
            train_dataset=as_table(trace_sets(2)), compute_metrics=print,
        )  # fmt: skip


def test_a_command_line_can_hold_the_settings():
    from transformers import HfArgumentParser

    for given, expected in (("12", 12), ("auto", "auto")):
        (config,) = HfArgumentParser((SSFTConfig,)).parse_args_into_dataclasses(
            ["--output_dir", "x", "--prefix_length", given, "--assignment", "random"]
        )
        assert (config.prefix_length, config.assignment) == (expected, "random")


def test_trace_sets_of_one_split_are_read(trace_sets, tmp_path):
    rows = [
        {**row, "split": split} for row, split in zip(as_table(trace_sets(3)), ("train", "test", "train"), strict=True)
    ]
    Dataset.from_list(rows).to_parquet(str(tmp_path / "sets.parquet"))
    assert load_trace_sets(tmp_path / "sets.parquet")["problem_id"] == ["p0", "p2"]
    assert len(load_trace_sets(tmp_path / "sets.parquet", split=None)) == 3
    with pytest.raises(InputError, match="no set of split rl"):
        load_trace_sets(tmp_path / "sets.parquet", split="rl")


def test_trace_sets_are_read_from_files(trace_sets, tmp_path):
    table = as_table(trace_sets(3))
    table.to_parquet(str(tmp_path / "sets.parquet"))
    table.to_json(str(tmp_path / "sets.jsonl"))
    for name in ("sets.parquet", "sets.jsonl"):
        assert load_trace_sets(tmp_path / name).to_list() == table.to_list()


def test_forking_json_is_beside_the_final_model(trainer, trace_sets, tmp_path):
    made = trainer(trace_sets(2), max_steps=1)
    made.train()
    made.save_model(str(tmp_path / "final"))
    assert load_tags(tmp_path / "final", made.processing_class) == made.tags
    assert "matchings.json" not in {path.name for path in (tmp_path / "final").iterdir()}
    assert json.loads((tmp_path / "final" / "forking.json").read_text())["style"] == "special"
