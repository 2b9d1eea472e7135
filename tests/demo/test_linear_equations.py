"""The equations of `conf/pretrained`: every strategy is right, and mistakes are carried on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkpipe.core.errors import InputError
from forkpipe.core.records import Request, Sampling
from forkpipe.demo.dataset import LinearEquationsDataset
from forkpipe.demo.linear_equations import LARGEST, STRATEGIES, Equation, no_slip, parse, render
from forkpipe.demo.procedural import ProceduralEngine

ANSWER = r"\boxed{"


@given(st.integers(2, 12), st.integers(1, 99), st.integers(1, LARGEST))
def test_every_strategy_ends_in_the_right_answer(a, b, x):
    for solve in STRATEGIES.values():
        assert " ".join(solve(Equation(a, b, a * x + b), no_slip)).endswith(f"{ANSWER}{x}}}")


def test_the_strategies_write_different_traces():
    equation = Equation(4, 7, 35)
    assert len({" ".join(solve(equation, no_slip)) for solve in STRATEGIES.values()}) == len(STRATEGIES)


def test_problem_text_round_trip():
    assert parse(render(Equation(4, 7, 35))) == Equation(4, 7, 35)
    assert parse("Solve for y: 4y + 7 = 35") is None


def requests(count):
    return [
        Request.create(
            problem_id=row["id"], problem=row["problem"], asked_of="t", revision="1", prompt="", sample=0,
            sampling=Sampling(max_tokens=200),
        )
        for row in LinearEquationsDataset(count=count).load()
    ]  # fmt: skip


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_a_slip_at_any_step_still_ends_in_an_answer(strategy):
    teacher = ProceduralEngine(strategy=strategy, error_rate=1.0)
    gold = [row["answer"] for row in LinearEquationsDataset(count=300).load()]
    answers = [one.text.rpartition(ANSWER)[2].rstrip("}") for one in teacher.generate(requests(300))]
    assert all(answer.lstrip("-").isdigit() for answer in answers)
    assert sum(answer != right for answer, right in zip(answers, gold, strict=True)) > 40


def test_problems_are_different_and_follow_from_the_seed():
    rows = LinearEquationsDataset(count=300, seed=1).load()
    assert len({row["problem"] for row in rows}) == 300
    assert rows == LinearEquationsDataset(count=300, seed=1).load()
    assert rows != LinearEquationsDataset(count=300, seed=2).load()
    for row in rows:
        a, b, c = parse(row["problem"])
        assert a * int(row["answer"]) + b == c


def test_strategies_of_two_tasks_are_no_teacher():
    with pytest.raises(InputError, match="strategies isolate, peasant solve different problems, expected some of"):
        ProceduralEngine(strategy=["isolate", "peasant"])
