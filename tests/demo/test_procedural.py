"""The procedural teachers: every trace is right, budgets, set rates of mistakes and cuts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkpipe.core.errors import InputError
from forkpipe.core.records import Request, Sampling
from forkpipe.demo.modular_powers import STRATEGIES, Power, no_slip, parse, render
from forkpipe.demo.procedural import ProceduralEngine

PRIMES = [3, 5, 7, 11, 13, 17, 19, 23, 97]


def requests(n, max_tokens=100):
    return [
        Request.create(
            problem_id=str(i),
            problem=render(Power(2 + i % 15, 3 + i % 97, 17)),
            asked_of="t",
            revision="1",
            prompt="",
            sample=0,
            sampling=Sampling(max_tokens=max_tokens),
        )
        for i in range(n)
    ]


@given(st.sampled_from(PRIMES), st.data())
def test_every_strategy_ends_in_the_right_answer(p, data):
    power = Power(data.draw(st.integers(2, p - 1)), data.draw(st.integers(1, 200)), p)
    for solve in STRATEGIES.values():
        words = solve(power, no_slip)
        assert words[-3] == "\\boxed{"
        assert int(words[-2]) == pow(power.a, power.b, p)


def test_all_default_problems_fit_28_words_and_on_average_4_of_6_strategies_fit_20():
    fits = 0
    for a in range(2, 17):
        for b in range(3, 100):
            lengths = [len(solve(Power(a, b, 17), no_slip)) for solve in STRATEGIES.values()]
            assert max(lengths) <= 28
            fits += sum(length <= 20 for length in lengths)
    assert 3.8 < fits / (15 * 97) < 4.1


def test_problem_text_round_trip():
    assert parse(render(Power(7, 45, 17))) == Power(7, 45, 17)
    assert parse("7 + 45") is None


def test_a_correct_teacher_makes_no_mistake_and_one_with_errors_makes_about_as_many():
    """400 traces at rate .25: 100 slips expected, sd 8.7; a slip may still end in the right answer by chance."""
    asked = requests(400)
    right = [int(c.text.split()[-2]) for c in ProceduralEngine(strategy="peasant").generate(asked)]
    wrong = [int(c.text.split()[-2]) for c in ProceduralEngine(strategy="peasant", error_rate=0.25).generate(asked)]
    assert right == [pow(*parse(one.problem)) for one in asked]
    assert 55 < sum(a != b for a, b in zip(right, wrong, strict=True)) < 130


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_a_slip_at_any_step_still_ends_in_a_boxed_number(strategy):
    engine = ProceduralEngine(strategy=strategy, error_rate=1.0)
    for completion in engine.generate(requests(1500)):
        words = completion.text.split()
        assert words[-3] == "\\boxed{"
        assert 0 <= int(words[-2]) < 17


def test_cut_traces_end_for_length_and_max_tokens_cuts():
    cut = list(ProceduralEngine(strategy="peasant", truncation_rate=0.5).generate(requests(200)))
    assert 70 < sum(one.finish_reason == "length" for one in cut) < 130
    short = next(iter(ProceduralEngine(strategy="peasant").generate(requests(1, max_tokens=4))))
    assert short.finish_reason == "length"
    assert len(short.text.split()) == short.tokens_out == 4


def test_the_same_request_gives_the_same_text():
    engine = ProceduralEngine(strategy="fermat", error_rate=0.5)
    first = [one.text for one in engine.generate(requests(50))]
    assert first == [one.text for one in reversed(list(engine.generate(list(reversed(requests(50))))))]


def test_a_problem_it_cannot_read_is_a_failed_completion():
    one = Request.create(
        problem_id="x", problem="2 + 2", asked_of="t", revision="", prompt="", sample=0, sampling=Sampling()
    )
    (completion,) = ProceduralEngine(strategy="cycle").generate([one])
    assert completion.finish_reason == "error"
    assert "2 + 2" in completion.error


@pytest.mark.parametrize("options", [{"strategy": "guess"}, {"strategy": "cycle", "error_rate": 2}])
def test_bad_options_are_refused(options):
    with pytest.raises(InputError):
        ProceduralEngine(**options)


def test_a_teacher_of_several_strategies_draws_one_a_trace():
    """600 traces, three strategies: 200 each expected, sd 11.5."""
    names = ["peasant", "cycle", "fermat"]
    engine = ProceduralEngine(strategy=names)
    asked = requests(600)
    drawn = [engine.strategy_of(one) for one in asked]
    assert all(150 < drawn.count(name) < 250 for name in names)
    alone = {name: [c.text for c in ProceduralEngine(strategy=name).generate(asked)] for name in names}
    assert [c.text for c in engine.generate(asked)] == [alone[name][i] for i, name in enumerate(drawn)]


def test_an_unknown_strategy_among_several_is_named():
    with pytest.raises(InputError, match="strategy 'abacus' is unknown, expected one or several of: square_multiply"):
        ProceduralEngine(strategy=["peasant", "abacus"])
    with pytest.raises(InputError, match="strategy '' is unknown"):
        ProceduralEngine(strategy=[])
