"""First rows of special tags, and what the check of tags before a training says of them."""

import copy
import logging

import numpy as np
import pytest
import torch
from pretrained_like import pretrained_like, sets_of_four

from forkpipe import SSFTConfig, SSFTTrainer, add_tags
from forkpipe.models.adapters import lora_config
from forkpipe.models.checkpoint import save_checkpoint
from forkpipe.models.tag_rows import APART, SHARE, _rows_of_words
from forkpipe.models.tagging import plain_tag
from forkpipe.parameters import LoraSettings, SupervisedSettings
from forkpipe.training.supervised import train_supervised
from forkpipe.training.tag_check import TagCheck, repeats, spreads


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def pretrained(request):
    """A model that reads and answers."""
    torch.set_num_threads(1)
    return pretrained_like(request.param)


def check(pretrained, folder, rows="words", style="special", assignment="optimal", lora=False, **changes):
    model, tokenizer = copy.deepcopy(pretrained)
    tags = add_tags(model, tokenizer, 6, style, rows)
    trainer = SSFTTrainer(
        model,
        SSFTConfig(
            output_dir=str(folder), report_to=[], use_cpu=True, disable_tqdm=True, save_strategy="no", max_steps=1,
            assignment=assignment, dataloader_pin_memory=False, **changes,
        ),
        processing_class=tokenizer,
        tags=plain_tag(style, tokenizer) if assignment == "single" else tags,
        train_dataset=sets_of_four(8),
        peft_config=lora_config(LoraSettings(rank=2)) if lora else None,
    )  # fmt: skip
    return trainer, trainer.check_tags()


def test_rows_of_words_can_be_told_apart_and_are_likely_where_an_answer_begins(pretrained, tmp_path):
    _, mean = check(pretrained, tmp_path, "mean")
    _, words = check(pretrained, tmp_path, "words")
    assert mean.indistinguishable
    assert not words.indistinguishable
    assert words.spread > 30 * mean.spread
    assert words.spread > 1000 * words.noise
    likely = np.exp(words.log_probs)
    assert SHARE / 20 < likely.sum() < 5 * SHARE
    assert likely.sum() > 10 * np.exp(mean.log_probs).sum()
    assert likely.max() < 20 * likely.min()
    assert words.broken == []


def test_the_rest_of_the_model_predicts_as_before(pretrained):
    """What raises the tags at the beginning of an answer leaves them improbable within it."""
    model, tokenizer = copy.deepcopy(pretrained)
    ids = tokenizer("What is 3 + 2?<|im_end|>\n<|im_start|>assistant\n3 + 2 = 5", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        before = model(ids).logits.log_softmax(-1)
        tags = add_tags(model, tokenizer, 6, "special")
        after = model(ids).logits.log_softmax(-1)
    width = len(tokenizer) - 7
    inside = after[0, -5:]
    assert inside[:, list(tags.added_ids)].exp().sum(-1).max() < 0.1
    assert (inside[:, :width] - before[0, -5:, :width]).abs().max() < 0.15


@pytest.mark.parametrize(
    ("style", "assignment"), [("special", "optimal"), ("text", "random"), ("special", "fixed"), ("text", "single")]
)
def test_every_method_says_what_its_tags_do_before_it_trains(pretrained, tmp_path, style, assignment, caplog):
    trainer, _ = check(pretrained, tmp_path, style=style, assignment=assignment, lora=True, bf16=True)
    caplog.clear()
    with caplog.at_level(logging.INFO, "forkpipe"):
        trainer.train()
    (line,) = [record.message for record in caplog.records if "before training" in record.message]
    assert line.startswith(f"{assignment}, before training: p(tag | x)")
    assert "without a tag: '" in line
    assert ("nats a token between tags (error" in line) == (assignment != "single")
    assert all(repr(tag) in line for tag in trainer.tags.tags)


def test_a_warning_names_tags_that_make_no_difference(pretrained, tmp_path, caplog):
    trainer, _ = check(pretrained, tmp_path, "mean")
    caplog.clear()
    with caplog.at_level(logging.WARNING, "forkpipe"):
        trainer.train()
    assert any("cannot tell its tags apart" in record.message for record in caplog.records)


def test_a_warning_names_tags_after_which_nothing_is_written(pretrained, tmp_path, caplog):
    trainer, _ = check(pretrained, tmp_path)
    end, first = trainer.processing_class.eos_token_id, trainer.tags.added_ids[0]
    head = trainer.model.get_output_embeddings()
    # After tag 1 the output matrix prefers the end: its logit gets a part of the state that this tag makes.
    inputs = torch.tensor([[*trainer.train_dataset[0]["prompt"], first]])
    seen = []
    hook = head.register_forward_pre_hook(lambda _, given: seen.append(given[0][0, -1]))
    trainer.model.eval()(inputs)
    hook.remove()
    state = seen[0].detach()
    head.weight.data[end] += 100 * (state - head.weight.data[end]) / state.norm() ** 2
    found = trainer.check_tags()
    written = dict(zip([*found.tags, ""], found.texts, strict=True))
    assert written["<think1>"] == ""
    assert "<think1>" in found.broken or not written[""].strip()
    found.log("ssft")


def of(written, texts, spread=0.1, prefix_spread=2.0, noise=1e-3, probs=(0.01, 0.02)):
    return TagCheck(("<a>", "<b>"), np.log(probs), spread, prefix_spread, noise, written, texts)


def test_the_line_and_the_findings_by_hand(caplog):
    fine = of(((1, 2), (3,), (1,)), ("one two", "three", "x" * 50))
    assert fine.line() == (
        "p(tag | x) 0.01 to 0.02, 0.03 together; costs differ by 0.1 nats a token between tags (error 0.001); "
        f"after '<a>': 'one two'; after '<b>': 'three'; without a tag: '{'x' * 40}...'"
    )
    assert not fine.indistinguishable
    assert fine.broken == []
    silent = of(((), (5,) * 20, (1,)), (" \n", "aaaa", "x"))
    assert silent.broken == ["<a>", "<b>"]
    assert "after '<a>': ends at once" in silent.line()
    with caplog.at_level(logging.WARNING, "forkpipe"):
        silent.log("ssft")
    assert "writes nothing or repeats itself after '<a>', '<b>'" in caplog.text
    assert of(((), (), ()), ("", "", "")).broken == []  # the model does so without a tag too
    assert of(((1,),) * 3, ("x",) * 3, spread=0.1, noise=0.2).indistinguishable
    assert of(((1,),) * 3, ("x",) * 3, prefix_spread=0.01).indistinguishable
    single = TagCheck(("<a>",), np.log([0.5]), None, None, None, ((1,), (1,)), ("x", "x"))
    assert not single.indistinguishable
    assert "costs" not in single.line()


def test_repetition():
    assert repeats([9, 9] + [1, 2, 3] * 4)
    assert repeats([7] * 12)
    assert not repeats([7] * 11)
    assert not repeats(list(range(24)))
    assert not repeats([1, 2, 3, 4, 5] * 5)  # a period of five tokens is a list, not a stutter


def test_spreads_are_of_the_prefixes():
    costs = [np.array([[1.0, 2.0], [1.5, 2.0]]), np.array([[1.0], [4.0]])]
    assert spreads(costs, [[10, 10], [2]]) == (0.5, 5.0)  # medians of 0.5, 0, 3 and of 5, 0, 6


def test_rows_by_hand(pretrained):
    """The row of <think21> is the mean of "think" and of 2, 1 weighed by place; tags of unknown words differ too."""
    model, tokenizer = pretrained
    matrix = model.get_input_embeddings().weight.detach()

    def row(text):
        return matrix[tokenizer(text, add_special_tokens=False)["input_ids"]]

    one, other, same = _rows_of_words(matrix, tokenizer, {-1: "<think21>", -2: "<think12>", -3: "<3>"})
    pieces = row("think")
    weights = torch.arange(1.0, len(pieces) + 1)
    word = (pieces * (weights / weights.sum())[:, None]).sum(0)
    assert torch.allclose(one, (word + (row("2")[0] + 2 * row("1")[0]) / 3) / 2, atol=1e-6)
    assert torch.allclose(other, (word + (row("1")[0] + 2 * row("2")[0]) / 3) / 2, atol=1e-6)
    assert torch.allclose(same, row("3")[0], atol=1e-6)
    unknown = _rows_of_words(matrix, tokenizer, {-1: "<>", -2: "<|>"})
    typical = (matrix - matrix.mean(0)).norm(dim=1).mean()
    assert torch.pdist(unknown).item() > 0.9 * APART * typical


def test_a_model_from_scratch_is_not_checked_and_a_pretrained_one_is(base, pretrained, trace_sets, tmp_path, caplog):
    settings = SupervisedSettings(problems_per_step=2, max_steps=1, save_every=None)
    model, tokenizer = copy.deepcopy(pretrained)
    save_checkpoint(tmp_path / "b", model, tokenizer, add_tags(model, tokenizer, 6, "special"), base="x", revision="1")
    lines = {}
    for name, folder in (("scratch", base), ("pretrained", tmp_path / "b")):
        caplog.clear()
        with caplog.at_level(logging.INFO, "forkpipe"):
            train_supervised(
                "ssft", folder, tmp_path / name, tmp_path / f"{name}-work", trace_sets(2), settings, "optimal",
                "{problem}", 0,
            )  # fmt: skip
        lines[name] = [record.message for record in caplog.records if "before training" in record.message]
    assert (len(lines["scratch"]), len(lines["pretrained"])) == (0, 1)
