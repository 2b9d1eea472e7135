"""GFPO to the digit: where the gradient is zero, what a trained head leaves, its estimators, one step by hand."""

import itertools
import math

import pytest
import torch
from test_gfpo_trainer import config, rows
from test_policies import sampled
from transformers import Qwen2Config, Qwen2ForCausalLM

from byte_tokenizer import byte_tokenizer
from forkpipe import GFPOTrainer, add_tags, head_rows, load_checkpoint, merged, save_checkpoint
from forkpipe.core.policy import clipped_surrogate, exact_expectation, group_advantages

TEXTS = ["2 + 3 = 5, 7 - 4 = 3", "What is 12 * 3 mod 17?", "1 0 6 8 9 tags think <>/"]
HIDDEN = 32


@pytest.fixture
def make(tmp_path):
    """A function that makes a trainer of a fresh Qwen2 with as many tags as a problem has lists of rewards.

    The rows of the deciding tokens are normal with `spread`: those of added tokens would be much alike.
    """

    def made(table, style="special", scope="full", spread=0.2, **changes):
        tokenizer = byte_tokenizer(TEXTS)
        torch.manual_seed(0)
        model = Qwen2ForCausalLM(
            Qwen2Config(
                vocab_size=len(tokenizer), hidden_size=HIDDEN, intermediate_size=64, num_hidden_layers=2,
                num_attention_heads=2, num_key_value_heads=2, rms_norm_eps=1e-12, tie_word_embeddings=False,
                eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
            )
        )  # fmt: skip
        tags = add_tags(model, tokenizer, n=len(table[0]), style=style)
        (position,) = tags.deciding_positions
        model.lm_head.weight.data[[ids[position] for ids in tags.token_ids]] = spread * torch.randn(tags.n, HIDDEN)
        data = [{"problem": text, "rewards": rewards} for text, rewards in zip(TEXTS, table, strict=False)]
        return GFPOTrainer(
            model, config(tmp_path, **{"per_device_train_batch_size": len(data), **changes}),
            processing_class=tokenizer, tags=tags, train_dataset=data,
            peft_config=head_rows(model, tags) if scope == "head" else None,
        )  # fmt: skip

    return made


def batch(trainer):
    return trainer.data_collator(list(trainer.problems))


def gradients(trainer):
    trainer.model.zero_grad()
    trainer.compute_loss(trainer.model, batch(trainer)).backward()
    return {name: value.grad.clone() for name, value in trainer.model.named_parameters() if value.grad is not None}


@pytest.mark.parametrize("style", ["special", "text"])
@pytest.mark.parametrize("objective", ["exact", "sampled"])
def test_the_whole_model_s_logits_have_a_gradient_at_the_deciding_tokens_alone(make, style, objective):
    """The model is made to return the logits of every position, which the trainer spares itself."""
    table = [[[1.0, 0.0], [0.0, 0.0], [0.5, 0.0]], [[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]]]
    trainer = make(table, style, objective=objective, kl_weight=0.1, entropy_weight=0.1)
    trainer.begin(None)
    seen = []

    def keep(module, args, output):
        output.logits.retain_grad()
        seen.append(output.logits)

    trainer.model.register_forward_pre_hook(lambda m, args, kw: (args, {**kw, "logits_to_keep": 0}), with_kwargs=True)
    trainer.model.register_forward_hook(keep)
    torch.manual_seed(0)
    inputs = batch(trainer)
    trainer.compute_loss(trainer.model, inputs).backward()
    (logits,) = seen
    assert logits.shape[:2] == inputs["input_ids"].shape
    (position,) = trainer.tags.deciding_positions
    assert (position > 0) == (style == "text")
    deciding = torch.zeros(logits.shape[-1], dtype=torch.bool)
    deciding[[ids[position] for ids in trainer.tags.token_ids]] = True
    assert (logits.grad[:, -1, deciding] != 0).all()
    assert (logits.grad[:, -1, ~deciding] == 0).all()
    assert (logits.grad[:, :-1] == 0).all()
    # The probabilities of the tags sum to 1 whatever the logits are.
    assert logits.grad[:, -1].sum(dim=-1).abs().max() < 1e-7


def test_weight_decay_moves_the_tags_rows_alone(base, tmp_path, rl_problems):
    """Ten steps of AdamW in scope head: no other weight moves by a bit, and no completion changes."""

    def trained(name, decay, scope="head"):
        model, tokenizer, tags = load_checkpoint(base)
        trainer = GFPOTrainer(
            model,
            config(tmp_path, max_steps=10, learning_rate=0.05, weight_decay=decay, optim="adamw_torch"),
            processing_class=tokenizer, tags=tags, train_dataset=rows(rl_problems(6)),
            peft_config=head_rows(model, tags) if scope == "head" else None,
        )  # fmt: skip
        trainer.train()
        assert type(trainer.optimizer.optimizer).__name__ == "AdamW"
        assert {group["weight_decay"] for group in trainer.optimizer.param_groups if group["params"]} >= {decay}
        save_checkpoint(tmp_path / name, merged(trainer.model), tokenizer, tags, base="test", revision="")
        return load_checkpoint(tmp_path / name)[0].state_dict()

    before, _, tags = load_checkpoint(base)
    before = before.state_dict()
    decayed, plain = trained("decayed", 0.5), trained("plain", 0.0)
    ids = [one[0] for one in tags.token_ids]
    others = [i for i in range(len(before["lm_head.weight"])) if i not in ids]
    assert list(decayed) == list(before)
    for name, weight in before.items():
        if name != "lm_head.weight":
            assert torch.equal(decayed[name], weight), name
    assert torch.equal(decayed["lm_head.weight"][others], before["lm_head.weight"][others])
    assert not torch.equal(decayed["lm_head.weight"][ids], plain["lm_head.weight"][ids])  # it did decay
    assert (decayed["lm_head.weight"][ids] != before["lm_head.weight"][ids]).any(dim=1).all()
    assert sampled(tmp_path / "decayed", rl_problems(3), own=False) == sampled(base, rl_problems(3), own=False)
    full = trained("full", 0.5, scope="full")  # where the matrix is trained whole, the decay alone moves other rows
    assert not torch.equal(full["lm_head.weight"][others], before["lm_head.weight"][others])


@pytest.mark.parametrize(("n", "draws"), [(2, 2), (2, 3), (3, 2), (4, 3)])
@pytest.mark.parametrize("baseline", ["leave_one_out", "mean"])
def test_over_all_draws_the_sampled_gradient_is_the_exact_one(n, draws, baseline):
    """An identity: every group of draws, weighted by its probability. The mean as a baseline is (G - 1) / G of it."""
    generator = torch.Generator().manual_seed(n)
    logits = torch.randn(n, generator=generator, dtype=torch.float64, requires_grad=True)
    rewards = torch.rand(n, generator=generator, dtype=torch.float64)
    log_probs = torch.log_softmax(logits, dim=-1)
    (exact,) = torch.autograd.grad(exact_expectation(log_probs[None], rewards[None])[0], logits, retain_graph=True)
    total = torch.zeros(n, dtype=torch.float64)
    for group in itertools.product(range(n), repeat=draws):
        drawn = log_probs[list(group)][None]
        advantages = group_advantages(rewards[list(group)][None], baseline=baseline)
        loss, _ = clipped_surrogate(drawn, drawn, advantages)
        (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
        total += drawn.sum().exp().detach() * gradient
    factor = 1 if baseline == "leave_one_out" else (draws - 1) / draws
    assert torch.allclose(total, exact * factor, rtol=0, atol=1e-15)
    assert exact.abs().max() > 1e-2


def test_over_all_draws_the_trainer_s_gradient_is_the_exact_one(make, monkeypatch):
    """N = 2, G = 2, two rewards a tag: the 16 groups of draws of tag and reward, through the model to every weight."""
    table = [[[1.0, 0.25], [0.0, 0.5]]]
    exact = make(table, spread=0.5)
    trainer = make(table, spread=0.5, objective="sampled", draws=2, baseline="leave_one_out")
    for one in (exact, trainer):
        one.begin(None)
        one.model.eval()
    expected = gradients(exact)
    probs = exact.log_probs()[0].exp()
    assert 0.1 < probs.min() < 0.45
    total = {name: torch.zeros_like(value) for name, value in expected.items()}
    for tags, samples in itertools.product(itertools.product(range(2), repeat=2), repeat=2):
        with monkeypatch.context() as patch:
            patch.setattr(torch, "multinomial", lambda *_, drawn=tags, **__: torch.tensor([drawn]))
            patch.setattr(torch, "rand", lambda *_, drawn=samples, **__: torch.tensor([drawn]) / 2 + 0.25)
            found = gradients(trainer)
        weight = float(probs[list(tags)].prod()) / 4
        for name, value in found.items():
            total[name] += weight * value
    for name, value in expected.items():
        assert torch.allclose(total[name], value, rtol=1e-4, atol=1e-7), name
    assert max(value.abs().max().item() for value in expected.values()) > 1e-3


@pytest.mark.parametrize("scope", ["head", "full"])
@pytest.mark.parametrize(
    ("rewards", "learning_rate"), [([[1.0], [0.0]], 1 / 16), ([[1.0, 0.5], [0.0, 0.5]], 1 / 8), ([[0.0], [1.0]], 1 / 8)]
)
def test_one_step_by_hand(make, scope, rewards, learning_rate):
    """Both tags' rows start at 0, so that p = (1/2, 1/2) and dJ/dz = p1 p2 (R1 - R2) (1, -1) = (R1 - R2) / 4 (1, -1).

    z = W h, so a step of size a adds a (R1 - R2) / 4 (h, -h) to the rows, and z1 - z2 = a (R1 - R2) / 2 |h|^2. The last
    norm makes |h|^2 the hidden size. As the rows are 0, nothing reaches h: training all weights does the same.
    """
    trainer = make(
        [rewards], scope=scope, spread=0.0, max_steps=1, optim="sgd", learning_rate=learning_rate,
        lr_scheduler_type="constant", max_grad_norm=0.0,
    )  # fmt: skip
    assert trainer.log_probs()[0].tolist() == pytest.approx([math.log(0.5)] * 2)
    with torch.no_grad():
        state = trainer.model(input_ids=batch(trainer)["input_ids"], output_hidden_states=True)
        h = state.hidden_states[-1][0, -1]
    assert float(h @ h) == pytest.approx(HIDDEN, rel=1e-5)
    start = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train()
    first, second = (sum(one) / len(one) for one in rewards)
    apart = learning_rate * (first - second) / 2 * HIDDEN
    assert trainer.log_probs().exp()[0].tolist() == pytest.approx(
        [1 / (1 + math.exp(-apart)), 1 / (1 + math.exp(apart))], rel=1e-5
    )
    ids = [one[0] for one in trainer.tags.token_ids]
    model = merged(trainer.model)
    move = learning_rate * (first - second) / 4 * h
    assert torch.allclose(model.lm_head.weight.data[ids], torch.stack([move, -move]), atol=1e-6)
    if scope == "full":
        assert [name for name, value in model.state_dict().items() if not torch.equal(value, start[name])] == [
            "lm_head.weight"
        ]
