"""GFPO in scope head and GRPO: what they change, what they leave, budgets, a broken verifier."""

import pytest
import torch

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.core.records import Request, Sampling, Verdict
from forkpipe.engines.transformers import TransformersEngine
from forkpipe.parameters import GFPOSettings, GRPOSettings, RolloutSettings, SamplingSettings
from forkpipe.training.checkpoint import load_checkpoint, render_prompt
from forkpipe.training.gfpo import check_head_scope, prompt_states, train_gfpo
from forkpipe.training.grpo import train_grpo
from forkpipe.training.rewards import mean_rewards, reward_table

ROLLOUTS = RolloutSettings(
    steps=4, problems_per_step=4, group_size=6, sampling=SamplingSettings(max_tokens=6), batch_rows=16
)


def odd_length(problems, completions):
    """A verifier for tests: correct where the text has an odd number of words."""
    return [Verdict("correct" if len(one.text.split()) % 2 else "wrong") for one in completions]


def table(problems, best=3):
    """Tag `best` is right, all others are wrong."""
    return [
        {"problem_id": one.problem_id, "tag": tag, "sample": 0, "verdict": "correct" if tag == best else "wrong"}
        for one in problems
        for tag in range(6)
    ]


def train(base, tmp_path, problems, rows, steps=30):
    rollouts = ROLLOUTS.model_copy(update={"steps": steps})
    log = train_gfpo(
        base, tmp_path / "gfpo", problems, rows, GFPOSettings(learning_rate=0.05), rollouts, "{problem}", seed=0
    )
    return log, tmp_path / "gfpo"


def test_the_policy_moves_to_the_tag_that_earns(base, tmp_path, rl_problems):
    log, _ = train(base, tmp_path, rl_problems(8), table(rl_problems(8)))
    assert log[0]["reward"] == pytest.approx(1 / 6, abs=0.05)  # an untrained model prefers no tag
    assert log[-1]["reward"] > 0.8
    assert log[-1]["tag_usage"][3] > 0.8
    assert log[-1]["entropy"] < log[0]["entropy"]
    assert log[-1]["kl"] > 0


def test_every_weight_but_the_tags_rows_is_bit_equal(base, tmp_path, rl_problems):
    _, folder = train(base, tmp_path, rl_problems(8), table(rl_problems(8)), steps=10)
    before, _, tags = load_checkpoint(base)
    after, _, _ = load_checkpoint(folder)
    ids = [one[0] for one in tags.token_ids]
    for name, weight in before.state_dict().items():
        new = after.state_dict()[name]
        if name == "lm_head.weight":
            others = [i for i in range(len(weight)) if i not in ids]
            assert torch.equal(weight[others], new[others])
            assert not torch.equal(weight[ids], new[ids])
        else:
            assert torch.equal(weight, new), name


def test_every_tags_completions_are_unchanged(base, tmp_path, rl_problems):
    """The promise of scope head: a reward table stays valid, since tags are banned behind their place."""
    _, folder = train(base, tmp_path, rl_problems(8), table(rl_problems(8)))

    def completions(checkpoint):
        _, tokenizer, tags = load_checkpoint(checkpoint)
        requests = [
            Request.create(
                problem_id=one.problem_id,
                problem=one.problem,
                asked_of="x",
                revision="",
                prompt=render_prompt(tokenizer, one.problem),
                sample=0,
                sampling=Sampling(temperature, 1.0, 12),
                prefix_ids=ids,
            )
            for one in rl_problems(3)
            for ids in tags.token_ids
            for temperature in (0.0, 1.0)
        ]
        return {one.request_id: one.token_ids for one in TransformersEngine(model=str(checkpoint)).generate(requests)}

    assert completions(base) == completions(folder)


def test_states_are_those_that_predict_the_tag(base, rl_problems):
    model, tokenizer, _ = load_checkpoint(base)
    one = rl_problems(1)[0]
    states = prompt_states(model, tokenizer, [one.problem])
    ids = tokenizer(render_prompt(tokenizer, one.problem), add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, -1]
    assert torch.allclose(states[0] @ model.lm_head.weight.detach().T, logits, atol=1e-5)


def test_the_reward_table_has_the_budget_of_grpo(base, rl_problems):
    rows = reward_table(base, rl_problems(5), odd_length, ROLLOUTS, "{problem}", "gfpo")
    assert len(rows) == ROLLOUTS.total == 96
    assert len({(row["problem_id"], row["tag"], row["sample"]) for row in rows}) == 96
    counts = [sum(row["problem_id"] == one.problem_id for row in rows) for one in rl_problems(5)]
    assert sorted(counts) == [18, 18, 18, 18, 24]  # 16 groups of six over five problems


def test_mean_rewards_by_hand():
    rows = [
        {"problem_id": "p", "tag": 0, "verdict": "correct"},
        {"problem_id": "p", "tag": 0, "verdict": "truncated"},
        {"problem_id": "p", "tag": 1, "verdict": "wrong"},
    ]
    assert mean_rewards(rows, 2)["p"].tolist() == [0.5, 0.0]
    with pytest.raises(ValueError, match="no rollout under some tag"):
        mean_rewards(rows, 3)


def test_scope_head_is_refused_where_it_is_not_safe():
    text = ForkingTags("text", ("a", "b"), ((1, 2), (1, 3)), (1,))
    special = ForkingTags("special", ("a", "b"), ((1,), (2,)), (0,))
    with pytest.raises(InputError, match=r"tags\.style 'text'"):
        check_head_scope(text, tied=False)
    with pytest.raises(InputError, match="untied"):
        check_head_scope(special, tied=True)
    check_head_scope(special, tied=False)


def test_grpo_spends_its_budget_and_logs_it(base, tmp_path, rl_problems):
    settings = GRPOSettings(learning_rate=1e-3)
    rollouts = ROLLOUTS.model_copy(update={"steps": 2})
    log, rewards = train_grpo(
        base, tmp_path / "grpo", tmp_path / "work", rl_problems(6), odd_length, settings, rollouts, "{problem}", seed=0
    )
    assert len(rewards) == sum(row["rollouts"] for row in log) == rollouts.total == 48
    assert {row["policy_version"] for row in rewards} == {0, 1}
    shares = [sum(row["verdict"] == "correct" for row in rewards[i * 24 : (i + 1) * 24]) / 24 for i in range(2)]
    assert [row["reward"] for row in log] == pytest.approx(shares)
    assert load_checkpoint(tmp_path / "grpo")[2].n == 6
