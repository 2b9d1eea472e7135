"""GFPO in scope head and GRPO: what they change, what they leave, budgets, a broken verifier."""

import pytest
import torch

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.core.records import Request, Sampling, Verdict
from forkpipe.engines.transformers import TransformersEngine
from forkpipe.parameters import GFPOSettings, GRPOSettings, RolloutSettings, SamplingSettings
from forkpipe.training.checkpoint import load_checkpoint, render_prompt
from forkpipe.training.grpo import train_grpo
from forkpipe.training.rewards import check_scored, reward_table, rewards_by_tag
from forkpipe.training.scopes import check_head_scope
from forkpipe.training.tag_policy import train_gfpo

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


def train(base, tmp_path, problems, rows, steps=30, **changes):
    rollouts = ROLLOUTS.model_copy(update={"steps": steps})
    settings = GFPOSettings(**{"learning_rate": 0.05, **changes})
    folder, work = tmp_path / "gfpo", tmp_path / "work"
    return train_gfpo(base, folder, work, problems, rows, settings, rollouts, "{problem}", seed=0), folder


def test_the_policy_moves_to_the_tag_that_earns(base, tmp_path, rl_problems):
    log, _ = train(base, tmp_path, rl_problems(8), table(rl_problems(8)))
    assert log[0]["reward"] == pytest.approx(1 / 6, abs=0.05)  # an untrained model prefers no tag
    assert log[-1]["reward"] > 0.8
    assert log[-1]["tag_usage"][3] > 0.8
    assert log[-1]["entropy"] < log[0]["entropy"]
    assert log[-1]["kl"] > 0


@pytest.mark.parametrize("changes", [{"baseline": "leave_one_out"}, {"scale_by_std": True}])
def test_sampled_draws_move_it_too(base, tmp_path, rl_problems, changes):
    log, _ = train(base, tmp_path, rl_problems(8), table(rl_problems(8)), objective="sampled", **changes)
    assert log[-1]["tag_usage"][3] > 0.6


def test_a_kl_and_an_entropy_hold_it_back(base, tmp_path, rl_problems):
    free, _ = train(base, tmp_path, rl_problems(8), table(rl_problems(8)))
    held, _ = train(base, tmp_path, rl_problems(8), table(rl_problems(8)), kl_weight=0.5)
    spread, _ = train(base, tmp_path, rl_problems(8), table(rl_problems(8)), entropy_weight=0.5)
    assert held[-1]["kl"] < free[-1]["kl"] / 2
    assert spread[-1]["entropy"] > 2 * free[-1]["entropy"]


def test_a_killed_training_of_the_policy_goes_on_bit_by_bit(base, tmp_path, rl_problems, monkeypatch):
    from forkpipe.training.gfpo import GFPOTrainer

    problems, rows = rl_problems(8), table(rl_problems(8))
    changes = {"objective": "sampled", "save_every": 4}
    whole, folder = train(base, tmp_path / "whole", problems, rows, steps=12, **changes)
    original = GFPOTrainer.compute_loss

    def dying(self, *args, **kwargs):
        if self.state.global_step == 7:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(GFPOTrainer, "compute_loss", dying)
        with pytest.raises(KeyboardInterrupt):
            train(base, tmp_path, problems, rows, steps=12, **changes)
    assert (tmp_path / "work" / "checkpoint-4").is_dir()
    resumed, again = train(base, tmp_path, problems, rows, steps=12, **changes)
    for name in ("loss", "reward", "kl", "tag_usage"):
        assert [row[name] for row in resumed] == [row[name] for row in whole]
    first, second = load_checkpoint(folder)[0].state_dict(), load_checkpoint(again)[0].state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


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


def test_the_reward_table_has_the_budget_of_grpo(base, rl_problems):
    rows = reward_table(base, rl_problems(5), odd_length, ROLLOUTS, "{problem}", "gfpo")
    assert len(rows) == ROLLOUTS.total == 96
    assert len({(row["problem_id"], row["tag"], row["sample"]) for row in rows}) == 96
    counts = [sum(row["problem_id"] == one.problem_id for row in rows) for one in rl_problems(5)]
    assert sorted(counts) == [18, 18, 18, 18, 24]  # 16 groups of six over five problems


def test_rewards_by_tag_by_hand():
    found = [(0, 1, "correct"), (0, 0, "truncated"), (1, 0, "wrong"), (1, 1, "wrong")]
    rows = [{"problem_id": "p", "tag": tag, "sample": i, "verdict": verdict} for tag, i, verdict in found]
    assert rewards_by_tag(rows, 2) == {"p": [[0.0, 1.0], [0.0, 0.0]]}
    with pytest.raises(ValueError, match=r"problem p has \[2, 2, 0\] rollouts by tag"):
        rewards_by_tag(rows, 3)


def test_a_verifier_that_fails_stops_training_with_examples():
    verdicts = [Verdict("timeout")] * 6 + [Verdict("correct")] * 4
    with pytest.raises(InputError, match=r"6 of 10 rewards are timeout or failed.*timeout on 'answer 0'"):
        check_scored(verdicts, [f"answer {i}" for i in range(10)], 0.5)
    check_scored(verdicts, [""] * 10, 0.6)


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
