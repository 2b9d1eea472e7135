"""GFPOTrainer as others use it: its gradient against TRL's, where it is zero, what it refuses."""

import pytest
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from forkpipe import GFPOConfig, GFPOTrainer
from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.core.losses import tag_log_probs
from forkpipe.core.policy import clipped_surrogate, group_advantages
from forkpipe.models.checkpoint import encoder, load_checkpoint, load_tags, render_prompt


def config(tmp_path, **changes):
    settings = {
        "output_dir": str(tmp_path / "run"), "max_steps": 4, "per_device_train_batch_size": 4, "learning_rate": 1e-3,
        "save_strategy": "no", "report_to": [], "disable_tqdm": True, "use_cpu": True, "logging_steps": 1,
        "dataloader_pin_memory": False, "seed": 0,
    }  # fmt: skip
    return GFPOConfig(**{**settings, **changes})


def rows(problems, best=2, n=6):
    return [{"problem": one.problem, "rewards": [[float(tag == best)] * 2 for tag in range(n)]} for one in problems]


@pytest.fixture
def trainer(base, tmp_path, rl_problems):
    """A function that makes a trainer of a fresh model."""

    def make(data=None, **changes):
        model, tokenizer, tags = load_checkpoint(base)
        data = rows(rl_problems(6)) if data is None else data
        return GFPOTrainer(
            model, config(tmp_path, **changes), processing_class=tokenizer, tags=tags, train_dataset=data
        )

    return make


def groups(base, rl_problems, sizes=(3, 4)):
    """Prompts, drawn tags, rewards and invented traces of P problems with G draws each."""
    model, tokenizer, tags = load_checkpoint(base)
    encode, draw = encoder(tokenizer), torch.Generator().manual_seed(0)
    prompts = [encode(render_prompt(tokenizer, one.problem)) for one in rl_problems(sizes[0])]
    actions = torch.randint(tags.n, sizes, generator=draw)
    rewards = torch.rand(sizes, generator=draw)
    traces = torch.randint(10, 60, (*sizes, 5), generator=draw)
    return model, tokenizer, tags, prompts, actions, rewards, traces


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_gradients_equal_trl_s_with_a_mask_on_the_deciding_position(base, rl_problems, tmp_path, shift):
    """GRPO of TRL over whole completions, all but the tag masked, against our forward pass over prompts alone.

    On-policy (shift 0), and off-policy, where old log-probabilities are off by up to the shift and clipping is active.
    """
    model, tokenizer, tags, prompts, actions, rewards, traces = groups(base, rl_problems)
    advantages = group_advantages(rewards, scale_by_std=True)
    ids = torch.tensor([one[0] for one in tags.token_ids])
    width = max(map(len, prompts))
    padded = torch.tensor([[tokenizer.pad_token_id] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)

    logits = model(input_ids=padded, attention_mask=mask, position_ids=positions, logits_to_keep=1).logits[:, -1]
    drawn = torch.log_softmax(logits, dim=-1).gather(1, ids[actions])  # the full vocabulary, as TRL has it
    noise = torch.rand(drawn.shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    old = (drawn + shift * noise).detach()
    loss, metrics = clipped_surrogate(drawn, old, advantages)
    loss.backward()
    ours = {name: value.grad.clone() for name, value in model.named_parameters()}
    assert (metrics["clip_fraction"] > 0) == (shift > 0)

    model.zero_grad()
    trl = GRPOTrainer(
        model=model,
        reward_funcs=lambda **_: [],
        args=GRPOConfig(
            output_dir=str(tmp_path), per_device_train_batch_size=12, num_generations=4, loss_type="grpo", beta=0.0,
            epsilon=0.2, bf16=False, report_to=[], use_cpu=True, gradient_checkpointing=False, temperature=1.0,
        ),
        train_dataset=Dataset.from_list([{"prompt": "x"}] * 12),
        processing_class=tokenizer,
    )  # fmt: skip
    trl.current_gradient_accumulation_steps = 1
    completions = torch.cat([ids[actions][:, :, None], traces], dim=2).flatten(0, 1)
    only_tag = torch.zeros_like(completions)
    only_tag[:, 0] = 1
    old_logps = torch.zeros(completions.shape)
    old_logps[:, 0] = old.flatten()
    inputs = {
        "prompt_ids": padded.repeat_interleave(4, dim=0),
        "prompt_mask": mask.repeat_interleave(4, dim=0),
        "completion_ids": completions,
        "completion_mask": torch.ones_like(completions),
        "tool_mask": only_tag,
        "advantages": advantages.flatten(),
        "old_per_token_logps": old_logps,
    }
    trl.model.train()
    trl._compute_loss(trl.model, inputs).backward()
    for name, value in trl.model.named_parameters():
        assert torch.allclose(ours[name], value.grad, atol=1e-4), name
    assert max(value.abs().max().item() for value in ours.values()) > 1e-3


def test_no_gradient_off_the_deciding_position(trainer):
    """The loss depends on the logits of one position and, there, on those of the N tags alone."""
    made = trainer()
    made.begin(None)
    batch = made.data_collator([made.problems[i] for i in range(4)])
    logits = torch.randn(4, 3, len(made.processing_class), requires_grad=True)

    class Fixed(torch.nn.Module):
        def forward(self, **kwargs):
            return type("Output", (), {"logits": logits})()

    made.compute_loss(Fixed(), batch).backward()
    tags = [ids[0] for ids in made.tags.token_ids]
    others = [i for i in range(logits.shape[-1]) if i not in tags]
    assert (logits.grad[:, :-1] == 0).all()
    assert (logits.grad[:, -1, others] == 0).all()
    assert (logits.grad[:, -1, tags] != 0).all()


def test_padding_changes_no_probability(trainer, rl_problems):
    made = trainer()
    together = made.log_probs()
    for i in range(len(made.problems)):
        alone = made.data_collator([made.problems[i]])
        with torch.no_grad():
            expected = made.model(input_ids=alone["input_ids"]).logits[:, -1]
        ids = torch.tensor([one[0] for one in made.tags.token_ids])
        assert torch.allclose(together[i], tag_log_probs(expected, ids)[0], atol=1e-5)


def test_the_sampled_objective_has_the_gradient_of_the_exact_one(trainer):
    """The mean gradient of 100 draws of 64 tags on one batch; the exact one within five standard errors of it."""
    exact, sampled = trainer(), trainer(objective="sampled", draws=64, baseline="leave_one_out")

    def gradient(made):
        made.model.zero_grad()
        batch = made.data_collator([made.problems[i] for i in range(4)])
        made.compute_loss(made.model, batch).backward()
        return made.model.lm_head.weight.grad[[ids[0] for ids in made.tags.token_ids]].flatten().clone()

    exact.begin(None)
    sampled.begin(None)
    torch.manual_seed(0)
    draws = torch.stack([gradient(sampled) for _ in range(100)])
    error = draws.std(dim=0) / 10
    assert ((draws.mean(dim=0) - gradient(exact)).abs() < 5 * error + 1e-7).all()


def test_text_tags_are_decided_at_their_digit(trace_sets, tmp_path):
    """A model of Qwen2's kind learns which tag pays, and writes that tag whole."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from byte_tokenizer import byte_tokenizer
    from forkpipe import add_tags

    tokenizer = byte_tokenizer([trace.text for one in trace_sets(8) for trace in one.traces])
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=2, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
        )
    )  # fmt: skip
    tags = add_tags(model, tokenizer, n=4, style="text")
    data = rows(trace_sets(8), best=1, n=4)
    settings = config(tmp_path, max_steps=30, learning_rate=1e-2)
    made = GFPOTrainer(model, settings, processing_class=tokenizer, tags=tags, train_dataset=data)
    before = tags.token_ids[0][: tags.deciding_positions[0]]
    assert made.problems[0]["prompt"][-len(before) :] == list(before)
    made.train()
    assert made.log_probs().exp()[:, 1].min() > 0.9
    made.save_model(str(tmp_path / "final"))
    assert load_tags(tmp_path / "final", tokenizer) == tags


def test_what_does_not_fit_is_refused(trainer, base, tmp_path, rl_problems):
    (one,) = rl_problems(1)
    with pytest.raises(InputError, match=r"problem 0: field 'rewards' holds \[1, 1\] rewards by tag"):
        trainer([{"problem": one.problem, "rewards": [[1.0], [0.0]]}])
    with pytest.raises(InputError, match="problem 0: field 'rewards'"):
        trainer([{"problem": one.problem, "rewards": [[]] * 6}])
    for wrong in (
        [[float("nan")]] + [[1.0]] * 5, ["10"] + [[1.0, 0.0]] * 5, [1.0] * 6, "100000", [["1"]] * 6, [[None]] * 6
    ):  # fmt: skip
        with pytest.raises(InputError, match=r"problem 0: .*expected a (list of numbers|finite number)"):
            trainer([{"problem": one.problem, "rewards": wrong}])
    model, tokenizer, tags = load_checkpoint(base)
    twice = ForkingTags(tags.style, tags.tags, tags.token_ids, (0, 1))
    with pytest.raises(InputError, match="differ at 2 positions"):
        GFPOTrainer(model, config(tmp_path), processing_class=tokenizer, tags=twice, train_dataset=rows([one]))


@pytest.mark.parametrize(
    "changes",
    [{"objective": "Exact"}, {"baseline": "loo"}, {"draws": 1}, {"kl_weight": -1.0}, {"prompt": "solve it"}],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, changes):
    with pytest.raises(InputError, match=next(iter(changes))):
        config(tmp_path, **changes)


def test_problems_may_have_unequal_numbers_of_samples(trainer, rl_problems):
    """Two problems of one batch, of 2 and of 4 samples a tag: the expected reward is the mean of each one's own."""
    uneven = rows(rl_problems(2))
    uneven[1]["rewards"] = [[1.0, 0.0, 0.0, 0.0] for _ in range(6)]
    for objective in ("exact", "sampled"):
        made = trainer(uneven, objective=objective)
        made.begin(None)
        made.compute_loss(made.model, made.data_collator([made.problems[i] for i in range(2)]))
        share = made.log_probs().exp()[0, 2].item()
        assert made._since_log["reward"] / made._since_log["groups"] == pytest.approx((share + 0.25) / 2, abs=1e-5)
