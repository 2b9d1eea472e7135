"""A step in passes: every sequence once, few at a time, the longest first, and the same loss and gradient."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from forkpipe import SSFTConfig, SSFTTrainer
from forkpipe.models.checkpoint import load_checkpoint
from forkpipe.parameters import AnchorSettings
from forkpipe.training.anchors import Anchor
from forkpipe.training.passes import part_of, passes_of, sequences_in_passes

lengths = st.lists(st.integers(1, 40), min_size=1, max_size=30)


@given(lengths, st.none() | st.integers(1, 200), st.none() | st.integers(1, 9))
def test_every_sequence_has_one_pass_that_fits(lengths, tokens, rows):
    passes = passes_of(lengths, tokens, rows)
    assert sorted(i for part in passes for i in part) == list(range(len(lengths)))
    for part in passes:
        longest = max(lengths[i] for i in part)
        assert len(part) == 1 or tokens is None or len(part) * longest <= tokens
        assert rows is None or len(part) <= rows
    for before, after in itertools.pairwise(passes):
        assert min(lengths[i] for i in before) >= max(lengths[i] for i in after)
        # No pass ends early: the next sequence would not have fitted.
        grown = len(before) + 1
        full = rows is not None and grown > rows
        assert full or (tokens is not None and grown * max(lengths[i] for i in before) > tokens)
    if len(passes) == 1:
        assert passes == [list(range(len(lengths)))]


@given(lengths, st.integers(1, 200))
def test_a_pass_has_no_padding_of_other_sequences(lengths, tokens):
    width = max(lengths)
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    ids = torch.arange(mask.numel()).view(mask.shape)
    sequences = {"input_ids": ids, "attention_mask": mask}
    for rows in sequences_in_passes(sequences, tokens):
        part = part_of(sequences, rows)
        assert torch.equal(part["input_ids"], ids[rows, : max(lengths[i] for i in rows)])
        assert len(rows) == 1 or part["input_ids"].numel() <= tokens


@pytest.fixture
def trainer(base, tmp_path, trace_sets):
    """A function that makes a trainer in float64, whose problems have 1 to 4 traces of unlike lengths."""
    sets = [
        {
            "problem": one.problem,
            "traces": [" ".join(t.text.split()[: 4 + 5 * ((i + n) % 3)]) for n, t in enumerate(one.traces)],
        }
        for i, one in enumerate(trace_sets(6))
    ]
    for i, one in enumerate(sets):
        one["traces"] = one["traces"][: 1 + i % 4]

    def make(dtype=torch.float64, **changes):
        model, tokenizer, tags = load_checkpoint(base)
        settings = {
            "output_dir": str(tmp_path), "max_steps": 2, "per_device_train_batch_size": 6, "prefix_length": 8,
            "report_to": [], "use_cpu": True, "disable_tqdm": True, "save_strategy": "no", "logging_steps": 1,
        }  # fmt: skip
        return SSFTTrainer(
            model.to(dtype), SSFTConfig(**{**settings, **changes}), processing_class=tokenizer, tags=tags,
            train_dataset=sets, eval_dataset=sets,
        )  # fmt: skip

    return make


def gradient(made):
    """Return loss and gradients of a batch of all problems, and the shapes of the passes with gradient."""
    shapes = []

    def note(module, arguments, given):
        if torch.is_grad_enabled():
            shapes.append(tuple(given["input_ids"].shape))

    hook = made.model.register_forward_pre_hook(note, with_kwargs=True)
    made.matchings = made._fresh_matchings("train")
    loss = made.compute_loss(made.model, made.data_collator([made.train_dataset[i] for i in range(6)]))
    loss.backward()
    hook.remove()
    return loss.item(), {name: weight.grad for name, weight in made.model.named_parameters()}, shapes


@pytest.mark.parametrize("assignment", ["optimal", "random"])
@pytest.mark.parametrize("tokens", [1, 60, 100])
def test_passes_add_up_to_the_loss_and_the_gradient_of_the_batch(trainer, tokens, assignment):
    whole = gradient(trainer(assignment=assignment, rematch_every=1))
    parts = gradient(trainer(assignment=assignment, rematch_every=1, pass_tokens=tokens))
    assert len(whole[2]) == 1
    assert len(parts[2]) > 2
    assert sum(rows for rows, _ in parts[2]) == whole[2][0][0]
    assert all(rows == 1 or rows * width <= tokens for rows, width in parts[2])
    assert parts[2][0][1] == whole[2][0][1]  # the longest first
    assert parts[0] == pytest.approx(whole[0], rel=1e-12)
    for name, expected in whole[1].items():
        assert torch.allclose(parts[1][name], expected, atol=1e-12), name


def test_in_float32_they_do_to_1e_6(trainer):
    whole, parts = gradient(trainer(torch.float32)), gradient(trainer(torch.float32, pass_tokens=60))
    assert parts[0] == pytest.approx(whole[0], rel=1e-6)
    for name, expected in whole[1].items():
        assert torch.allclose(parts[1][name], expected, atol=1e-6), name


def test_a_batch_that_fits_is_one_pass_to_the_bit(trainer):
    whole, parts = gradient(trainer(torch.float32)), gradient(trainer(torch.float32, pass_tokens=10**6))
    assert parts[0] == whole[0]
    assert parts[2] == whole[2]
    assert all(torch.equal(parts[1][name], expected) for name, expected in whole[1].items())


def test_a_caller_who_wants_the_output_gets_that_of_the_batch(trainer):
    made = trainer(pass_tokens=60)
    batch = made.data_collator([made.train_dataset[i] for i in range(6)])
    loss, outputs = made.compute_loss(made.model, batch, return_outputs=True)
    assert outputs.logits.shape[0] == int(batch["trace_mask"].sum())
    loss.backward()
    expected = gradient(trainer())
    assert loss.item() == pytest.approx(expected[0], rel=1e-12)


def test_training_and_evaluation_are_the_same_in_passes(trainer):
    found = []
    for changes in (
        {},
        {"pass_tokens": 60, "matching_tokens": 30},
        {"pass_tokens": 60, "gradient_checkpointing": True},
    ):
        made = trainer(torch.float32, **changes)
        made.train()
        history = [logs for logs in made.state.log_history if "loss" in logs]
        found.append([logs[name] for logs in history for name in ("loss", "trace_loss", "tag_loss", "tokens")])
        found[-1].append(made.evaluate()["eval_loss"])
    assert found[1] == pytest.approx(found[0], rel=1e-6)
    assert found[2] == pytest.approx(found[0], rel=1e-6)


@pytest.mark.parametrize("kind", ["replay", "kl"])
def test_an_anchor_in_passes_is_the_same(base, kind):
    found, shapes = [], []
    for changes in ({}, {"pass_tokens": 24}, {"pass_tokens": 24, "micro_batch_size": 2}):
        model, tokenizer, _ = load_checkpoint(base)
        reference = load_checkpoint(base)[0].double()
        with torch.no_grad():
            model.get_output_embeddings().weight.mul_(1.5)
        sequences = [([5, 6, 7][: 1 + i % 3], list(range(8, 9 + 3 * i % 11))) for i in range(9)]
        settings = AnchorSettings(kind=kind, sequences=8, logit_chunk=5, **changes)
        anchor = Anchor(sequences, settings, seed=0, pad_id=tokenizer.pad_token_id, reference=reference)
        seen = []
        hook = model.register_forward_pre_hook(
            lambda module, arguments, given, seen=seen: seen.append(tuple(given["input_ids"].shape)), with_kwargs=True
        )
        loss = anchor(model.double(), 3, lambda part: part.backward())
        loss.backward()
        hook.remove()
        shapes.append(seen)
        found.append((loss.item(), {name: weight.grad for name, weight in model.named_parameters()}))
    assert [len(shapes[0]), len(shapes[1]) > 2, max(rows for rows, _ in shapes[2])] == [1, True, 2]
    assert all(rows == 1 or rows * width <= 24 for rows, width in shapes[1] + shapes[2])
    for loss, gradients in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=1e-6)
        assert all(torch.allclose(gradients[name], value, atol=1e-6) for name, value in found[0][1].items())
