"""Reinforcement learning in phases: what each changes, what it leaves, budgets, killed runs."""

import json

import pytest
import torch

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.core.records import Request, Sampling, Verdict
from forkpipe.engines.transformers import TransformersEngine
from forkpipe.models.checkpoint import Checkpoint, load_checkpoint, render_prompt, save_checkpoint
from forkpipe.models.scopes import check_head_scope
from forkpipe.parameters import RolloutSettings, SamplingSettings, Schedule
from forkpipe.stores.completions import CompletionStore
from forkpipe.training.phases.base import Context
from forkpipe.training.phases.rewards import reward_table, rewards_by_tag
from forkpipe.training.phases.schedule import train_policy

ROLLOUTS = RolloutSettings(
    steps=4,
    problems_per_step=4,
    group_size=6,
    sampling=SamplingSettings(max_tokens=6),
    batch_rows=64,
)


def odd_length(problems, completions):
    """A verifier for tests: correct where the text has an odd number of words."""
    return [Verdict("correct" if len(one.text.split()) % 2 else "wrong") for one in completions]


def best_tag_wins(best):
    """A verifier for tests: what stands under the best tag of its problem is right; `best` is that tag, or a function
    of the problem."""

    def verify(problems, completions):
        wanted = [best(one) if callable(best) else best for one in problems]
        return [Verdict("correct" if c.tag == tag else "wrong") for tag, c in zip(wanted, completions, strict=True)]

    return verify


def train(base, tmp_path, problems, phases, verify=None, steps=30, sets=(), **rollouts):
    """Train through the phases, return (result, checkpoint)."""
    settings = ROLLOUTS.model_copy(update={"steps": steps, **rollouts})
    store = CompletionStore(tmp_path / "rollouts.jsonl")
    context = Context("test", problems, sets, verify or best_tag_wins(3), settings, store, "{problem}", seed=0)
    schedule = Schedule.model_validate(phases)
    return train_policy(base, tmp_path / "checkpoint", tmp_path / "work", schedule, context), tmp_path / "checkpoint"


def head(**changes):
    return {"tags": {"kind": "tags", "scope": "head", "learning_rate": 0.05, **changes}}


def router(**changes):
    return head(scope="router", **changes)


def test_the_policy_moves_to_the_tag_that_earns(base, tmp_path, rl_problems):
    result, _ = train(base, tmp_path, rl_problems(8), head())
    log = result.log
    assert log[0]["reward"] == pytest.approx(1 / 6, abs=0.05)  # an untrained model prefers no tag
    assert log[-1]["reward"] > 0.8
    assert log[-1]["tag_usage"][3] > 0.8
    assert log[-1]["entropy"] < log[0]["entropy"]
    assert log[-1]["kl"] > 0
    assert {row["phase"] for row in log} == {"tags"}


@pytest.mark.parametrize("changes", [{"baseline": "leave_one_out"}, {"scale_by_std": True}])
def test_sampled_draws_move_it_too(base, tmp_path, rl_problems, changes):
    result, _ = train(base, tmp_path, rl_problems(8), head(objective="sampled", **changes))
    assert result.log[-1]["tag_usage"][3] > 0.6


def test_a_kl_and_an_entropy_hold_it_back(base, tmp_path, rl_problems):
    free, _ = train(base, tmp_path / "a", rl_problems(8), head())
    held, _ = train(base, tmp_path / "b", rl_problems(8), head(kl_weight=0.5))
    spread, _ = train(base, tmp_path / "c", rl_problems(8), head(entropy_weight=0.5))
    assert held.log[-1]["kl"] < free.log[-1]["kl"] / 2
    assert spread.log[-1]["entropy"] > 2 * free.log[-1]["entropy"]


ANCHORED = {"kind": "tags", "scope": "full", "learning_rate": 1e-3, "refresh_every": 5, "save_every": 4}
EVERYTHING = {
    "tags": {"kind": "tags", "scope": "router", "steps": 4, "learning_rate": 1e-2, "save_every": 3},
    "traces": {
        "kind": "traces", "tag": "router", "learning_rate": 1e-3, "router_learning_rate": 1e-2, "save_every": 2
    },
    "fold": {"kind": "fold", "steps": 5, "save_every": 2, "anchor": {"kind": "kl", "sequences": 8}},
}  # fmt: skip
KILLED = {
    "head": (head(objective="sampled", save_every=4), 12),
    "full, refreshed, kl": ({"tags": {**ANCHORED, "anchor": {"kind": "kl", "sequences": 8}}}, 12),
    "lora, refreshed, replay": (
        {"tags": {**ANCHORED, "scope": "lora", "anchor": {"kind": "replay", "sequences": 8}}}, 12
    ),
    "grpo": ({"traces": {"kind": "traces", "learning_rate": 1e-3, "save_every": 2}}, 12),
    "grpo under own tags": ({"traces": {"kind": "traces", "tag": "own", "learning_rate": 1e-3, "save_every": 2}}, 12),
    "router, traces, fold": (EVERYTHING, 9),
}  # fmt: skip


@pytest.mark.parametrize("name", KILLED)
def test_killed_at_steps_of_every_phase_it_goes_on_bit_by_bit(
    base, tmp_path, rl_problems, trace_sets, monkeypatch, name
):
    """Stopped four times, with and without a checkpoint to go on from, in each of the phases: checkpoint, logs and
    rewards are those of an undisturbed run, and nothing that was sampled for a table is sampled again."""
    from transformers import Trainer

    phases, steps = KILLED[name]
    arguments = (rl_problems(6), phases, odd_length, steps, trace_sets(4))
    whole, folder = train(base, tmp_path / "whole", *arguments)
    original = Trainer.training_step
    taken = 0

    def dying(self, *args, **kwargs):
        nonlocal taken
        taken += 1
        if taken in (4, 9, 13, 17):
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    deaths = 0
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "training_step", dying)
        while True:
            try:
                resumed, again = train(base, tmp_path / "killed", *arguments)
                break
            except KeyboardInterrupt:
                deaths += 1
    assert deaths == 4
    volatile = {"seconds"}
    assert [without(row, volatile) for row in resumed.log] == [without(row, volatile) for row in whole.log]
    assert resumed.rewards == whole.rewards
    assert weights_of(again).keys() == weights_of(folder).keys()
    assert all(torch.equal(value, weights_of(again)[key]) for key, value in weights_of(folder).items())
    store = tmp_path / "killed" / "rollouts.jsonl"
    if store.exists():
        ids = [json.loads(line)["request_id"] for line in store.read_text().splitlines()]
        assert len(ids) == len(set(ids))


def without(row, names):
    return {name: value for name, value in row.items() if name not in names}


def weights_of(folder):
    return load_checkpoint(folder)[0].state_dict()


def test_every_weight_but_the_tags_rows_is_bit_equal(base, tmp_path, rl_problems):
    _, folder = train(base, tmp_path, rl_problems(8), head(), steps=10)
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
    _, folder = train(base, tmp_path, rl_problems(8), head())
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
    first = {one.problem_id for one in problems[:4]}
    best = best_tag_wins(lambda one: 1 if one.problem_id in first else 4)
    # The output matrix of an untrained model is so small that no state could prefer a tag by much.
    model, tokenizer, tags = load_checkpoint(base)
    model.lm_head.weight.data *= 20
    base = tmp_path / "base"
    save_checkpoint(base, model, tokenizer, tags, base="test", revision="")
    phases = router(learning_rate=3e-3, adapter={"rank": 8})
    result, folder = train(base, tmp_path, problems, phases, best, steps=60)
    assert result.log[-1]["reward"] > 0.9
    before, after = load_checkpoint(base)[0].state_dict(), load_checkpoint(folder)[0].state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert sampled(folder, problems, own=False) == sampled(base, problems, own=False)
    picked = sampled(folder, problems, own=True)
    tags = [tag for tag, _ in picked.values()]
    assert tags.count(1) + tags.count(4) > 0.8 * len(tags)
    assert min(tags.count(1), tags.count(4)) > 0.3 * len(tags)


def test_a_router_can_be_sure_where_the_norm_bounds_the_states(base, tmp_path, rl_problems):
    """The norm before the output matrix fixes the length of the last state: with the tags' rows as they were drawn, no
    low-rank layer could make one tag much likelier than the others."""
    model, _, tags = load_checkpoint(base)
    ids = [one[0] for one in tags.token_ids]
    bound = model.lm_head.weight[ids].norm(dim=1).max() * model.config.hidden_size**0.5
    assert 1 / (1 + 5 * torch.exp(-2 * bound)) < 0.9  # what the rows allow at most
    result, _ = train(base, tmp_path, rl_problems(8), router(learning_rate=1e-2), steps=40)
    assert result.log[-1]["tag_usage"][3] > 0.95


def test_what_a_router_picks_is_completed_as_if_it_were_forced(base, tmp_path, rl_problems):
    """Greedy: the tag of the router's argmax, then what the model writes behind that tag."""
    problems = rl_problems(4)
    _, folder = train(base, tmp_path, problems, router(learning_rate=1e-2))
    forced = sampled(folder, problems, own=False)
    greedy = {(tag, ids) for tag, ids in forced.values()}
    own = [one for one in sampled(folder, problems, own=True).values() if one[0] == 3]
    assert len(own) > 12
    assert sum(one in greedy for one in own) >= 4


def test_the_reward_table_has_the_budget_of_grpo_and_is_drawn_once(base, tmp_path, rl_problems):
    store = CompletionStore(tmp_path / "rollouts.jsonl")
    context = Context("test", rl_problems(5), (), odd_length, ROLLOUTS, store, "{problem}", 0)
    arguments = {"tags_of": Checkpoint(base), "rollouts": ROLLOUTS.total(), "asked_of": "x", "version": 0}
    rows, _ = reward_table(base, context, **arguments)
    assert len(rows) == ROLLOUTS.total() == 96
    assert len({(row["problem_id"], row["tag"], row["sample"]) for row in rows}) == 96
    counts = [sum(row["problem_id"] == one.problem_id for row in rows) for one in rl_problems(5)]
    assert sorted(counts) == [18, 18, 18, 18, 24]  # 16 groups of six over five problems
    lines = (tmp_path / "rollouts.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "rollouts.jsonl").write_text("".join(lines[:60]) + lines[60][:40])  # killed while it wrote
    assert reward_table(base, context, **arguments)[0] == rows
    again = (tmp_path / "rollouts.jsonl").read_text().splitlines()
    assert len(again) == 97  # one torn line, and the 36 that were missing
    assert reward_table(tmp_path / "gone", context, **arguments)[0] == rows
    with pytest.raises(InputError, match="96 rollouts of a policy that is gone"):
        reward_table(tmp_path / "gone", context, **{**arguments, "asked_of": "y"})


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


@pytest.mark.parametrize("tag", ["first", "own"])
def test_grpo_spends_its_budget_and_logs_it(base, tmp_path, rl_problems, tag):
    phases = {"traces": {"kind": "traces", "tag": tag, "learning_rate": 1e-3}}
    result, folder = train(base, tmp_path, rl_problems(6), phases, odd_length, steps=2)
    assert len(result.rewards) == sum(row["rollouts"] for row in result.log) == 48
    assert {row["policy_version"] for row in result.rewards} == {0, 1}
    shares = [sum(row["verdict"] == "correct" for row in result.rewards[i * 24 : (i + 1) * 24]) / 24 for i in range(2)]
    assert [row["reward"] for row in result.log] == pytest.approx(shares)
    assert load_checkpoint(folder)[2].n == 6
    assert {row["tag"] for row in result.rewards} == ({-1} if tag == "first" else set(range(6)))
    assert any(not torch.equal(value, weights_of(folder)[name]) for name, value in weights_of(base).items())


def test_traces_under_a_router_leave_the_tags_to_it(base, tmp_path, rl_problems):
    """Only what is right under tag 2 earns: the router learns it from the rollouts it draws; no trace token has an
    advantage of its own under that tag, yet the model is trained where groups differ."""
    phases = {
        "tags": {"kind": "tags", "scope": "router", "steps": 1, "learning_rate": 1e-5},
        "traces": {"kind": "traces", "tag": "router", "learning_rate": 1e-4, "router_learning_rate": 2e-2},
    }
    result, folder = train(base, tmp_path, rl_problems(6), phases, best_tag_wins(2), steps=16)
    assert Checkpoint(folder).has_router
    assert [row["phase"] for row in result.log] == ["tags"] + ["traces"] * 15
    assert [row["step"] for row in result.log] == list(range(1, 17))
    assert result.log[-1]["tag_usage"][2] > result.log[1]["tag_usage"][2] + 0.2
    assert len(result.rewards) == 16 * 24
    assert weights_of(folder).keys() == weights_of(base).keys()


def test_a_router_that_does_not_learn_stays_as_it_is(base, tmp_path, rl_problems):
    phases = {
        "tags": {"kind": "tags", "scope": "router", "steps": 2, "learning_rate": 1e-2},
        "traces": {"kind": "traces", "tag": "router", "learning_rate": 1e-3},
    }
    _, first = train(base, tmp_path / "a", rl_problems(6), {"tags": phases["tags"]}, odd_length, steps=2)
    _, folder = train(base, tmp_path / "b", rl_problems(6), phases, odd_length, steps=4)
    name = "router/adapter_model.safetensors"
    assert (folder / name).read_bytes() == (first / name).read_bytes()
    assert any(not torch.equal(value, weights_of(folder)[name]) for name, value in weights_of(base).items())


def test_a_fold_takes_over_the_routers_choice(base, tmp_path, rl_problems, trace_sets):
    phases = {**router(learning_rate=1e-2, steps=30), "fold": {"kind": "fold", "steps": 60, "learning_rate": 3e-3}}
    result, folder = train(base, tmp_path, rl_problems(8), phases, steps=30, sets=trace_sets(6))
    assert not Checkpoint(folder).has_router
    folded = [row for row in result.log if row["phase"] == "fold"]
    assert folded[0]["loss"] > 3 * folded[-1]["loss"]
    picked = [tag for tag, _ in sampled(folder, rl_problems(8), own=True).values()]
    assert picked.count(3) > 0.5 * len(picked)


@pytest.mark.parametrize("kind", ["kl", "replay"])
@pytest.mark.parametrize("scope", ["lora", "full"])
def test_an_anchor_holds_completions_while_the_choice_moves(base, tmp_path, rl_problems, trace_sets, scope, kind):
    def loss_behind(weight):
        anchor = {"kind": kind, "weight": weight, "sequences": 16}
        phases = {"tags": {"kind": "tags", "scope": scope, "learning_rate": 3e-3, "anchor": anchor}}
        result, _ = train(base, tmp_path / f"{weight}", rl_problems(8), phases, steps=25, sets=trace_sets(6))
        assert result.log[-1]["tag_usage"][3] > 0.5
        return result.log[-1]["anchor"]

    assert loss_behind(10.0) < loss_behind(1e-6)


def test_phases_that_do_not_fit_are_refused(base, tmp_path, rl_problems):
    with pytest.raises(ValueError, match="phase traces of kind traces needs a router of a phase before it"):
        train(base, tmp_path, rl_problems(4), {"traces": {"kind": "traces", "tag": "router"}}, steps=1)
    phases = {**router(steps=1), "again": {"kind": "tags", "scope": "head"}}
    with pytest.raises(ValueError, match="phase again of kind tags would drop the router"):
        train(base, tmp_path, rl_problems(4), phases, steps=2)
    phases = {**router(steps=1), "fold": {"kind": "fold", "steps": 1}}
    with pytest.raises(InputError, match="no trace sets"):
        train(base, tmp_path, rl_problems(4), phases, steps=1)


def test_the_last_checkpoint_is_moved_and_a_kill_behind_that_costs_nothing(base, tmp_path, rl_problems, monkeypatch):
    """Not copied: the file of the weights is the same one. A run that is killed before it has cleaned up goes on."""
    from forkpipe.training.phases import schedule

    inodes, original = [], schedule._move

    def move_and_die(place, folder):
        inodes.append((place / "checkpoint/model.safetensors").stat().st_ino)
        original(place, folder)
        raise KeyboardInterrupt

    arguments = (base, tmp_path, rl_problems(4), head(), None, 2)
    with monkeypatch.context() as patch:
        patch.setattr(schedule, "_move", move_and_die)
        with pytest.raises(KeyboardInterrupt):
            train(*arguments)
    with monkeypatch.context() as patch:
        patch.setattr(schedule, "runner_of", None)  # no phase is trained again
        result, folder = train(*arguments)
    assert len(result.log) == 2
    assert (folder / "model.safetensors").stat().st_ino == inodes[0]
    assert not list((tmp_path / "work").iterdir())


def test_a_phase_whose_checkpoint_is_gone_is_trained_again(base, tmp_path, rl_problems, monkeypatch):
    import shutil

    from forkpipe.training.phases import schedule

    def lose_and_die(place, folder):
        shutil.rmtree(place / "checkpoint")
        raise KeyboardInterrupt

    arguments = (base, tmp_path, rl_problems(4), head(), None, 2)
    with monkeypatch.context() as patch:
        patch.setattr(schedule, "_move", lose_and_die)
        with pytest.raises(KeyboardInterrupt):
            train(*arguments)
    _, folder = train(*arguments)
    assert load_checkpoint(folder)[2].n == 6
