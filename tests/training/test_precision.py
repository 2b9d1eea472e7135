"""Costs with a known error: what is measured, when float32 decides, and that bfloat16 then changes no tag."""

import copy
import json

import numpy as np
import pytest
import torch
from pretrained_like import pretrained_like, sets_of_four

from forkpipe import SSFTConfig, SSFTTrainer, add_tags
from forkpipe.parameters import SupervisedSettings
from forkpipe.training.precision import (
    CLEAR,
    MEASURED,
    Measurement,
    compared,
    costs_with_error,
    full_precision,
    has_float32_weights,
    is_clear,
)
from forkpipe.training.supervised import train_supervised

BASE = np.array([[1.0, 2.0], [1.5, 1.0], [3.0, 3.0]])
"""Best: tags 0 and 1. Another tag for the first trace costs 2.0 more (tag 2), for the second 1.5 (1.5 + 2.0 - 2.0)."""


def test_the_error_of_a_margin_by_hand():
    """An error that all tags share counts nothing; of (e, -e) apart from the mean the unbiased square is 2 e^2."""
    fast = np.array([[1.0 + 0.5 + 0.1], [2.0 + 0.5 - 0.1]])
    exact = np.array([[1.0], [2.0]])
    measured = compared(fast, exact, exact)
    assert (measured.problems, measured.n) == (1, 2)
    assert measured.fast == pytest.approx(4 * 0.1**2)  # 2 e^2 / (1 - 1 / tags)
    assert measured.fast_margin == pytest.approx(2 * np.sqrt(4 * 0.1**2 / 2))
    eps = np.finfo(np.float32).eps
    assert measured.exact == pytest.approx(5 * eps**2)  # the rounding of 1 and of 2: no error is 0
    both = measured + measured
    assert (both.problems, both.n, both.fast_margin) == (2, 4, pytest.approx(measured.fast_margin))
    assert Measurement().fast_margin == 0


def test_independent_errors_of_costs_make_the_stated_error_of_a_margin():
    """Traces that change places are four costs: the standard deviation of the sum is twice that of a cost."""
    draw = np.random.default_rng(0)
    measured, margins = Measurement(), []
    for _ in range(2000):
        noise = draw.normal(0, 0.01, (6, 4))
        measured += compared(BASE[0, 0] + noise, np.ones((6, 4)), np.ones((6, 4)))
        margins.append(noise[0, 1] + noise[1, 0] - noise[0, 0] - noise[1, 1])
    assert measured.fast_margin == pytest.approx(np.std(margins), rel=0.05)


def test_what_is_clear():
    assert is_clear(BASE, 1.4 / CLEAR)
    assert not is_clear(BASE, 1.6 / CLEAR)
    assert is_clear(np.ones((1, 3)), 1.0)  # more traces than tags: nothing to match


class Computed:
    """Costs of problems 0 to 9, the odd ones with small margins; the fast ones are wrong by `error`."""

    def __init__(self, error):
        self.error, self.asked = error, []

    def __call__(self, rows):
        self.asked += rows
        return [
            (BASE if row % 2 == 0 else 1 + (BASE - 1) / 100) + self.error * np.array([[1, -1], [-1, 1], [0, 0]])
            for row in rows
        ]


def test_float32_decides_where_the_margin_is_within_the_error():
    fast, exact, other = Computed(0.02), Computed(0.0), Computed(1e-6)
    costed = costs_with_error(list(range(8)), fast, exact, other, Measurement())
    assert other.asked == [0]
    assert exact.asked == [0, 1, 3, 5, 7]
    assert [one.clear for one in costed] == [True, False] * 4
    assert [one.measured is not None for one in costed] == [True] * MEASURED + [False] * 6
    for row, one in enumerate(costed):
        decided_fast = row in (2, 4, 6)
        assert np.array_equal(one.costs, (fast if decided_fast else exact)([row])[0])
        assert (one.noise > 0.02) == decided_fast


def test_the_fast_costs_are_saved_where_most_problems_need_float32():
    known = Measurement(problems=MEASURED, n=12, n_exact=6, fast=12 * 0.02**2, unclear=0.6)
    fast, exact = Computed(0.02), Computed(0.0)
    costed = costs_with_error([0, 1, 2], fast, exact, Computed(0.0), known)
    assert (fast.asked, exact.asked) == ([], [0, 1, 2])
    assert [one.clear for one in costed] == [True, False, True]  # so that the share can fall again
    assert known.after(clear=True).unclear < 0.6 < known.after(clear=False).unclear


def test_costs_of_weights_in_float32_are_computed_once():
    exact, other = Computed(0.0), Computed(1e-3)
    costed = costs_with_error([4, 5, 6], None, exact, other, Measurement())
    assert (exact.asked, other.asked) == ([4, 5, 6], [4])
    assert len({one.noise for one in costed}) == 1
    assert all(one.clear for one in costed)


@pytest.fixture(scope="module")
def tagged():
    """A model that has learned to read, with tags, and its tokenizer."""
    torch.set_num_threads(1)
    model, tokenizer = pretrained_like(tied=True)
    return model, tokenizer, add_tags(model, tokenizer, n=6, style="special")


def trainer_of(tagged, folder, **changes):
    model, tokenizer, tags = tagged
    model = copy.deepcopy(model)  # a trainer wraps its forward
    arguments = {
        "output_dir": str(folder), "report_to": [], "use_cpu": True, "disable_tqdm": True, "save_strategy": "no",
        "max_steps": 1, "learning_rate": 1e-9, "per_device_train_batch_size": 30, "dataloader_pin_memory": False,
        "check_tags": False, **changes,
    }  # fmt: skip
    return SSFTTrainer(
        model, SSFTConfig(**arguments), processing_class=tokenizer, tags=tags, train_dataset=sets_of_four(30)
    )


def test_under_bf16_traces_get_the_tags_of_float32(tagged, tmp_path, monkeypatch):
    """Four wordings a question, as of four teachers. Costs in bf16 alone give other tags to more traces."""
    tags, costs = {}, {}
    for name, changes in (("float32", {}), ("bf16", {"bf16": True})):
        trainer = trainer_of(tagged, tmp_path, **changes)
        trainer.train()
        assert trainer.accelerator.mixed_precision == ("bf16" if changes else "no")
        rows = {row["trace_id"]: row for row in trainer.matchings.log}
        tags[name] = {trace: row["tag"] for trace, row in rows.items()}
        costs[name] = rows
    measured = trainer.matchings.measured
    assert 100 * measured.exact_margin < measured.fast_margin < 0.1
    same = np.mean([tags["bf16"][trace] == tag for trace, tag in tags["float32"].items()])
    assert same >= 0.95
    fast = [row for row in costs["bf16"].values() if row["margin_noise"] > 2 * measured.exact_margin]
    assert all(row["margin"] >= CLEAR * row["margin_noise"] for row in fast)
    assert all(row["margin_noise"] < 1e-4 for row in costs["float32"].values())


def test_a_model_that_computes_in_bfloat16_can_be_asked_for_float32(tagged, tmp_path):
    trainer = trainer_of(tagged, tmp_path, bf16=True)
    ids = torch.tensor([trainer.train_dataset[0]["prompt"]])
    with torch.no_grad():
        expected = tagged[0].eval()(ids).logits
        wrapped = trainer.accelerator.prepare_model(trainer.model)
        rounded = wrapped(ids).logits
        with full_precision(wrapped):
            exact = wrapped(ids).logits
        again = wrapped(ids).logits
    assert torch.equal(exact, expected)
    assert not torch.equal(rounded, expected)
    assert torch.equal(again, rounded)
    trainer.accelerator.unwrap_model(wrapped, keep_fp32_wrapper=False)
    assert has_float32_weights(trainer.model)
    assert not has_float32_weights(torch.nn.Linear(2, 2, dtype=torch.bfloat16))


def test_the_measurement_is_kept_in_checkpoints(tagged, tmp_path):
    trainer = trainer_of(tagged, tmp_path, bf16=True)
    trainer.train()
    trainer.matchings.save(tmp_path)
    assert json.loads((tmp_path / "matchings.json").read_text())["measured"]["problems"] == MEASURED
    other = trainer_of(tagged, tmp_path, bf16=True)
    other.matchings.load(tmp_path)
    assert other.matchings.measured == trainer.matchings.measured


def test_the_parameter_bf16_works_without_a_gpu(base, tmp_path, trace_sets):
    """transformers refuses bfloat16 on a CPU unless it is told that a CPU is meant."""
    settings = SupervisedSettings(problems_per_step=2, max_steps=2, bf16=True, save_every=None)
    result = train_supervised(
        "ssft", base, tmp_path / "out", tmp_path / "work", trace_sets(4), settings, "optimal", "{problem}", 0
    )
    assert all(np.isfinite(row["loss"]) for row in result.training_log)
    assert all(row["margin_noise"] > 0 for row in result.matching)
