"""Plans in rounds: what is asked, what is not, who is given up, and that the answers alone decide."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from forkpipe.generation.planner import Judged, Planner
from forkpipe.parameters import GenerationSettings
from forkpipe.parameters.traces import TargetSettings


def simulate(rates, strategies, target, *, samples=4, costs=None, names=None, rounds=1000):
    """Let a planner ask made-up teachers; return (planner, the requests of each round).

    Args:
        rates: (problems, teachers) chances that a sample is correct.
        strategies: (problems, teachers) the strategy of all correct traces of a teacher.
    """
    names = names or [f"p{at}" for at in range(len(rates))]
    costs = costs or [1.0] * len(rates[0])
    planner = Planner(names, np.full((len(rates), len(rates[0])), samples), target)
    held = [[] for _ in rates]
    asked = []
    while len(asked) < rounds and (requests := planner.next_round()):
        asked.append(requests)
        judged = []
        for it in requests:
            drawn = random.Random(f"{names[it.problem]} {it.teacher} {it.sample}").random()
            correct = drawn < rates[it.problem][it.teacher]
            judged.append(Judged(it.problem, it.teacher, correct, correct, costs[it.teacher]))
            if correct:
                held[it.problem].append((it.teacher, strategies[it.problem][it.teacher]))
        changed = {it.problem for it in judged if it.fresh}
        planner.observe(judged, {at: (list(held[at]), len({label for _, label in held[at]})) for at in changed})
    return planner, asked


def flat(asked):
    return [it for requests in asked for it in requests]


def spent(asked, costs):
    return sum(costs[it.teacher] for it in flat(asked))


TARGET = TargetSettings(correct=3, distinct=2)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 25), st.integers(1, 5), st.randoms(use_true_random=False), st.integers(1, 4))
def test_no_sample_is_asked_twice_or_beyond_what_there_is(teachers, problems, samples, chance, correct):
    target = TargetSettings(correct=correct, distinct=chance.randint(1, correct))
    rates = [[chance.random() for _ in range(teachers)] for _ in range(problems)]
    labels = [[chance.randrange(3) for _ in range(teachers)] for _ in range(problems)]
    planner, asked = simulate(rates, labels, target, samples=samples)
    requests = flat(asked)
    assert len(set(requests)) == len(requests)
    by_pair = {}
    for it in requests:
        by_pair.setdefault((it.problem, it.teacher), []).append(it.sample)
    assert all(of == list(range(len(of))) and len(of) <= samples for of in by_pair.values())
    lost = {name for name, _, _ in planner.rejected()}
    assert all(reached != (f"p{at}" in lost) for at, reached in enumerate(planner.enough.tolist()))
    assert planner.next_round() == []
    assert planner.unfinished("why") == []


def test_a_problem_with_enough_is_asked_no_more():
    _, asked = simulate([[1.0, 1.0]] * 30, [[0, 1]] * 30, TARGET)
    # Three correct traces of two strategies need three samples; the pilot asks two of each of its problems.
    assert len(flat(asked)) <= 30 * 4
    assert all(sum(it.problem == at for it in flat(asked)) in (3, 4) for at in range(30))


def test_hopeless_problems_are_given_up_with_a_reason_and_few_samples():
    rates = [[0.9, 0.9]] * 30 + [[0.0, 0.0]] * 30
    planner, asked = simulate(rates, [[0, 1]] * 60, TARGET, samples=20)
    assert planner.enough.tolist() == [True] * 30 + [False] * 30
    assert {name for name, _, _ in planner.rejected()} == {f"p{at}" for at in range(30, 60)}
    assert {reason for _, reason, _ in planner.rejected()} == {"target out of reach"}
    assert "0 correct traces of 0 strategies in" in planner.rejected()[0][2]
    assert sum(it.problem >= 30 for it in flat(asked)) < 30 * 20  # of 30 * 40 that there are


def test_problems_of_one_strategy_are_given_up_for_want_of_another():
    planner, _ = simulate([[1.0, 1.0]] * 20 + [[1.0, 1.0]] * 20, [[0, 1]] * 20 + [[0, 0]] * 20, TARGET, samples=30)
    assert planner.enough.tolist() == [True] * 20 + [False] * 20
    assert all("correct traces of 1 strategies" in detail for _, _, detail in planner.rejected())


def test_used_up_samples_are_the_reason_where_nothing_is_left():
    planner, _ = simulate([[0.5]] * 6, [[0]] * 6, TargetSettings(correct=2, give_up=0.0), samples=2)
    lost = planner.rejected()
    assert lost
    assert {reason for _, reason, _ in lost} == {"samples used up"}


def test_the_cheaper_of_equal_teachers_and_the_better_of_equal_prices_are_asked():
    target = TargetSettings(correct=2)
    _, asked = simulate([[0.8, 0.8]] * 80, [[0, 1]] * 80, target, costs=[1.0, 10.0])
    later = flat(asked[1:])
    assert sum(it.teacher == 0 for it in later) > 0.8 * len(later)
    _, asked = simulate([[0.1, 0.9]] * 80, [[0, 1]] * 80, target)
    later = flat(asked[2:])
    assert sum(it.teacher == 1 for it in later) > 0.8 * len(later)


def test_a_teacher_with_another_strategy_is_asked_where_strategies_are_lacking():
    # The second teacher repeats the first, the third is worse and differs.
    _, asked = simulate([[0.9, 0.9, 0.5]] * 80, [[0, 0, 1]] * 80, TargetSettings(correct=2, distinct=2), samples=6)
    later = flat(asked[3:])
    assert sum(it.teacher == 2 for it in later) > 0.5 * len(later)


def test_it_costs_less_than_asking_everybody():
    rates = [[0.9, 0.6, 0.3]] * 50 + [[0.5, 0.1, 0.05]] * 50
    labels = [[0, 1, 2]] * 100
    costs = [4.0, 1.0, 1.0]
    target = TargetSettings(correct=2, distinct=2)
    planner, asked = simulate(rates, labels, target, costs=costs, samples=3)
    everybody = sum(costs) * 3 * 100
    assert spent(asked, costs) < 0.7 * everybody
    assert planner.enough[:50].sum() >= 48


def test_the_order_of_the_problems_does_not_count_and_a_second_plan_is_the_same():
    chance = random.Random(3)
    rates = {f"p{at}": [chance.random(), chance.random()] for at in range(150)}
    plans = []
    for order in (list(rates), list(rates), list(reversed(rates))):
        labels = [[0, 1]] * len(order)
        _, asked = simulate([rates[name] for name in order], labels, TARGET, names=order)
        plans.append([{(order[it.problem], it.teacher, it.sample) for it in requests} for requests in asked])
    assert plans[0] == plans[1] == plans[2]
    assert len(plans[0]) > 3


def test_targets_that_no_teacher_can_reach_are_refused():
    teachers = {"a": {"engine": "import", "samples": 2}, "b": {"engine": "import"}}
    GenerationSettings.model_validate({"teachers": teachers, "target": {"correct": 3, "distinct": 3}})
    with pytest.raises(ValidationError, match=r"target\.correct is 4 and the teachers have 3 samples a problem"):
        GenerationSettings.model_validate({"teachers": teachers, "target": {"correct": 4}})
    with pytest.raises(ValidationError, match="distinct is 3, expected at most correct, 2"):
        TargetSettings(correct=2, distinct=3)
