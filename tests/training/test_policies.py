"""GFPO in scope head and GRPO: what they change, what they leave, budgets, a broken verifier."""

import pytest
import torch

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.core.records import Request, Sampling, Verdict
from forkpipe.engines.transformers import TransformersEngine
from forkpipe.parameters import GFPOSettings, GRPOSettings, RolloutSettings, SamplingSettings
from forkpipe.training.checkpoint import load_checkpoint, render_prompt, save_checkpoint
from forkpipe.training.grpo import train_grpo
from forkpipe.training.rewards import reward_table, rewards_by_tag
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
    assert sampled(base, rl_problems(3), own=False) == sampled(folder, rl_problems(3), own=False)


def sampled(checkpoint, problems, own):
    """Completions of problems under every tag and, with `own`, under the tag that the checkpoint picks."""
    _, tokenizer, tags = load_checkpoint(checkpoint)
    requests = [
        Request.create(
            problem_id=one.problem_id,
            problem=one.problem,
            asked_of="x",
            revision="",
            prompt=render_prompt(tokenizer, one.problem),
            sample=sample,
            sampling=Sampling(temperature, 1.0, 12),
            prefix_ids=() if own else ids,
            own_tag=own,
        )
        for one in problems
        for sample, ids in enumerate(tags.token_ids)
        for temperature in (0.0, 1.0)
    ]
    engine = TransformersEngine(model=str(checkpoint), batch_rows=16)
    return {one.request_id: (one.tag, one.token_ids) for one in engine.generate(requests)}


def test_a_router_picks_by_problem_and_leaves_completions_alone(base, tmp_path, rl_problems):
    """Half of the problems are right under tag 1, half under tag 4: one row a tag could learn the halves only by the
    last state as it is; the router learns them, and what is written under a tag is what was."""
    problems = rl_problems(8)
    rows = table(problems[:4], best=1) + table(problems[4:], best=4)
    # The output matrix of an untrained model is so small that no state could prefer a tag by much.
    model, tokenizer, tags = load_checkpoint(base)
    model.lm_head.weight.data *= 20
    base = tmp_path / "base"
    save_checkpoint(base, model, tokenizer, tags, base="test", revision="")
    log, folder = train(
        base, tmp_path, problems, rows, steps=60, scope="router", learning_rate=3e-3, router={"rank": 8}
    )
    assert log[-1]["reward"] > 0.9
    before, after = load_checkpoint(base)[0].state_dict(), load_checkpoint(folder)[0].state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert sampled(folder, problems, own=False) == sampled(base, problems, own=False)
    picked = sampled(folder, problems, own=True)
    tags = [tag for tag, _ in picked.values()]
    assert tags.count(1) + tags.count(4) > 0.8 * len(tags)
    assert min(tags.count(1), tags.count(4)) > 0.3 * len(tags)


def test_what_a_router_picks_is_completed_as_if_it_were_forced(base, tmp_path, rl_problems):
    """Greedy: the tag of the router's argmax, then what the model writes behind that tag."""
    problems = rl_problems(4)
    _, folder = train(base, tmp_path, problems, table(problems), scope="router", learning_rate=1e-2)
    forced = sampled(folder, problems, own=False)
    greedy = {(tag, ids) for tag, ids in forced.values()}
    own = [one for one in sampled(folder, problems, own=True).values() if one[0] == 3]
    assert len(own) > 12
    assert sum(one in greedy for one in own) >= 4


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
