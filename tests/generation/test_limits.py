"""What ends a run before its end, and what is said and kept then."""

import logging

import pyarrow as pa
import pytest

from forkpipe.core.errors import InputError
from forkpipe.core.records import Completion, Problem
from forkpipe.generation import asking, budget, cleaning, early
from forkpipe.generation.asking import Outcome, ask_teacher
from forkpipe.generation.collecting import collect, report_generation, stop_or_warn
from forkpipe.generation.requests import plan_requests
from forkpipe.parameters import EarlyStopSettings, GenerationSettings, LimitSettings, TeacherSettings
from forkpipe.stores.trace_store import TraceStore

PROBLEMS = [
    Problem.create(f"{i} + 1", str(i + 1), answer_type="integer", source="demo", source_id=str(i)) for i in range(40)
]
TEACHER = TeacherSettings.model_validate({"engine": "test", "price": {"input": 1, "output": 10}})


class WindowEngine:
    """Keeps 4 requests under way, or takes all at once; an answer is 3 tokens in and 7 out."""

    version = "1"
    identity = "window"

    def __init__(self, *, takes_all=False, fails=lambda number: False, text="\\boxed{1}"):
        self.takes_all = takes_all
        self.fails = fails
        self.text = text
        self.sent = 0

    def generate(self, requests):
        if self.takes_all:
            requests = sorted(requests, key=lambda request: request.request_id)
        under_way = []
        for request in requests:
            under_way.append(request)
            self.sent += 1
            if len(under_way) == 4:
                yield self.answer(under_way.pop(0))
        yield from map(self.answer, under_way)

    def answer(self, request):
        if self.fails(self.sent):
            return Completion(request.request_id, finish_reason="error", error=f"timeout: none in {self.sent} s")
        return Completion(request.request_id, self.text, tokens_in=3, tokens_out=7, seconds=2.0)

    def samples_held(self, problem):
        return None

    def close(self):
        pass


def ask(store, engine, limits=None, check=None, teacher=TEACHER, problems=PROBLEMS):
    plan = plan_requests(problems, "t", teacher, engine)
    spent = budget.Budget(LimitSettings.model_validate(limits or {}))
    outcome = ask_teacher("t", teacher, plan, engine, store, "run", budget=spent, check=check)
    return plan, outcome


@pytest.fixture
def store(tmp_path):
    return TraceStore(tmp_path / "store")


def held(store):
    with store:
        return len(store.index())


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        # the 5th answer is the first at which 10 tokens each make 50; what is under way then is waited for
        ({"tokens": 50}, "generation.limits.tokens is 50, this run has spent 50"),
        # 73 millionths an answer: 5 of them are the first above 0.0003
        ({"price": 0.0003}, "generation.limits.price is 0.0003, this run has spent 0.000365"),
    ],
)
def test_a_limit_sends_no_more_and_keeps_what_is_under_way(store, limits, said):
    engine = WindowEngine()
    _, outcome = ask(store, engine, limits)
    assert outcome == Outcome(40, 8, said)
    assert engine.sent == 8
    assert held(store) == 8
    again = WindowEngine()
    assert ask(store, again)[1] == Outcome(32, 32, "")
    assert held(store) == 40


def test_an_engine_that_first_looks_at_all_requests_is_waited_for_all_the_same(store, monkeypatch):
    monkeypatch.setattr(asking, "MOST_IN_FLIGHT", 10)
    engine = WindowEngine()
    generate = engine.generate

    def look_then_generate(requests):
        assert not any(request.own_tag for request in requests)
        yield from generate(requests)

    engine.generate = look_then_generate
    assert ask(store, engine, {"tokens": 50})[1].answered == 8


def test_a_limit_on_time_is_the_runs(store, monkeypatch):
    now = iter(range(0, 10_000, 10))
    monkeypatch.setattr(budget.time, "monotonic", lambda: next(now))
    _, outcome = ask(store, WindowEngine(), {"minutes": 1})
    assert outcome.limit == "generation.limits.minutes is 1, this run has taken 1"
    assert 0 < outcome.answered < 40


def test_an_engine_that_has_taken_everything_is_not_waited_for(store, monkeypatch):
    monkeypatch.setattr(asking, "MOST_IN_FLIGHT", 10)
    _, outcome = ask(store, WindowEngine(takes_all=True), {"tokens": 50})
    assert outcome.answered == 5
    assert held(store) == 5


def test_a_limit_that_is_reached_at_the_end_has_left_nothing(store):
    _, outcome = ask(store, WindowEngine(), {"tokens": 400})
    assert outcome == Outcome(40, 40, "")


def test_a_spent_budget_asks_nothing(store):
    spent = budget.Budget(LimitSettings(tokens=1))
    spent.spend(Completion("r", tokens_out=1), TEACHER)
    engine = WindowEngine()
    plan = plan_requests(PROBLEMS, "t", TEACHER, engine)
    outcome = ask_teacher("t", TEACHER, plan, engine, store, "run", budget=spent)
    assert (outcome.to_send, outcome.answered, engine.sent) == (40, 0, 0)
    assert outcome.limit


def test_a_partial_set_is_not_taken_for_the_whole_unless_told_so(store, caplog):
    outcomes = {"a": Outcome(5, 5, ""), "t": Outcome(40, 8, "the limit"), "u": Outcome(3, 0, "the limit")}
    with pytest.raises(InputError, match=r"the limit: 35 requests are not asked \(t 32, u 3\).*goes on from here"):
        stop_or_warn(outcomes, LimitSettings())
    with caplog.at_level(logging.WARNING, logger="forkpipe"):
        stop_or_warn(outcomes, LimitSettings(partial=True))
    assert "35 requests are not asked (t 32, u 3); going on with the traces there are" in caplog.text


def test_a_partial_set_holds_what_was_answered_and_the_report_says_so(store):
    with store:
        plan, outcome = ask(store, WindowEngine(), {"tokens": 50})
        batches, totals = collect(store, {"t": [plan]}, {"t": TEACHER}, {"t": outcome})
        traces = pa.concat_tables(batches)
    assert len(traces) == 8
    assert totals["t"]["not_asked"] == 32


def test_the_traces_of_a_problem_lie_together_in_the_order_of_teachers_and_samples(store):
    """The second teacher is asked fewer problems, in another order; problems that nobody lists come last."""
    several = TEACHER.model_copy(update={"samples": 2})
    came = {}
    with store:
        for name, problems in (("t", PROBLEMS[:5]), ("u", PROBLEMS[6:1:-2])):
            plan = plan_requests(problems, name, several, WindowEngine())
            came[name] = [plan], ask_teacher(name, several, plan, WindowEngine(), store, "run")
        batches, _ = collect(
            store,
            {name: plans for name, (plans, _) in came.items()},
            dict.fromkeys(came, several),
            {name: outcome for name, (_, outcome) in came.items()},
            [problem.problem_id for problem in PROBLEMS[:5]],
        )
    number = {problem.problem_id: at for at, problem in enumerate(PROBLEMS)}
    rows = [(number[row["problem_id"]], row["teacher"], row["sample"]) for row in batches.to_table().to_pylist()]
    asked = {"t": range(5), "u": (2, 4, 6)}
    assert rows == [
        (problem, teacher, sample)
        for problem in (0, 1, 2, 3, 4, 6)
        for teacher in "tu"
        if problem in asked[teacher]
        for sample in (0, 1)
    ]


def test_the_report_adds_up_by_teacher(store, caplog):
    """40 requests, 10 of which fail first and are answered in a second run: 50 attempts, 40 x 10 tokens paid."""
    caplog.set_level(logging.INFO, logger="forkpipe")
    with store:
        ask(store, WindowEngine(fails=lambda sent: sent % 4 == 0))
        plan, outcome = ask(store, WindowEngine())
        batches, totals = collect(store, {"t": [plan]}, {"t": TEACHER}, {"t": outcome})
        traces = pa.concat_tables(batches)
    failed = outcome.to_send
    assert 0 < failed < 40
    verdicts = pa.table(
        {"trace_id": traces["trace_id"], "verdict": ["correct" if n < 6 else "wrong" for n in range(40)]}
    )
    sets = pa.table({"traces": [[{"teacher": "t"}, {"teacher": "t"}], [{"teacher": "t"}], []]})
    (row,) = report_generation(totals, traces, verdicts, sets, GenerationSettings(teachers={"t": TEACHER}))
    price = (40 * 3 * 1 + 40 * 7 * 10) / 1e6
    assert (
        caplog.messages[-1]
        == "teacher t: 40 requests, 6 correct, 3 kept, 93 tokens a kept trace, price 0.00292, 0.0009733 a kept trace"
    )
    assert row == {
        "teacher": "t", "requests": 40, "asked": failed, "not_asked": 0, "attempts": 40 + failed, "tokens_in": 120,
        "tokens_out": 280, "seconds": 80.0, "failed": 0, "truncated": 0, "errors": f'{{"timeout": {failed}}}',
        "correct": 6, "kept": 3, "tokens_per_kept": 280 / 3, "price": pytest.approx(price),
        "price_per_kept": pytest.approx(price / 3),
    }  # fmt: skip


def test_an_attempt_that_fails_hides_no_final_one_before_it(store):
    """Cut at 7 of 7 tokens, asked again with room for 9, which fails: with the old limit the old answer counts."""
    short = TEACHER.model_copy(update={"sampling": TEACHER.sampling.model_copy(update={"max_tokens": 7})})
    longer = TEACHER.model_copy(update={"sampling": TEACHER.sampling.model_copy(update={"max_tokens": 9})})
    engine = WindowEngine()
    engine.answer = lambda request: Completion(request.request_id, "cut", tokens_out=7, finish_reason="length")
    ask(store, engine, teacher=short)
    assert ask(store, WindowEngine(fails=lambda sent: True), teacher=longer)[1].answered == 40
    again = WindowEngine()
    plan, outcome = ask(store, again, teacher=short)
    assert again.sent == 0
    with store:
        batches, totals = collect(store, {"t": [plan]}, {"t": short}, {"t": outcome})
        assert pa.concat_tables(batches)["attempt"].unique().to_pylist() == [0]
    assert (totals["t"]["failed"], totals["t"]["truncated"], totals["t"]["attempts"]) == (0, 40, 80)


# --- early stop


def check(verdict="correct", **changes):
    settings = EarlyStopSettings.model_validate({"first": 20, **changes})
    return early.EarlyCheck(settings, lambda rows: [{"verdict": verdict}] * len(rows))


def test_a_teacher_that_mostly_fails_is_stopped_early_with_two_examples(store):
    engine = WindowEngine(fails=lambda sent: sent > 3)
    with pytest.raises(InputError) as caught:
        ask(store, engine, check=check())
    said = str(caught.value)
    assert (
        "teacher t: 20 of the first 20 requests failed, for example 'timeout: none in 4 s' and 'timeout: none in 5 s'"
        in said
    )
    assert "\n" not in said
    assert held(store) == 20


def test_what_still_fails_after_most_was_answered_stops_nothing(store):
    ask(store, WindowEngine(fails=lambda sent: 4 <= sent < 22))
    assert ask(store, WindowEngine(fails=lambda sent: True), check=check(first=10))[1].answered < 40


def test_answers_that_cannot_be_read_stop_the_run_early(store):
    with pytest.raises(InputError, match=r"no answer was found in 20 of the first 20 whole responses.*max_unparsed"):
        ask(store, WindowEngine(text="I do not know"), check=check("unparsed"))
    assert ask(store, WindowEngine(), check=check("unparsed", max_unparsed=1.0))[1].answered == 20


def test_responses_that_are_nearly_all_cut_stop_the_run_early(store):
    """Of the first 20, 17 are cut, one more than four fifths; the requests that were asked are kept."""

    class Cutting(WindowEngine):
        def answer(self, request):
            reason = "stop" if self.sent in (5, 9, 13) else "length"
            return Completion(request.request_id, "and so \\boxed{1}", tokens_out=1024, finish_reason=reason)

    with pytest.raises(InputError, match=r"17 of the first 20 responses were cut by the token limit.*max_truncated,"):
        ask(store, Cutting(), check=check())
    assert held(store) == 20
    ask(store, Cutting(), check=check(max_truncated=1.0))


def test_responses_that_are_reasoning_alone_are_said_to_be(store):
    engine = WindowEngine()
    engine.answer = lambda request: Completion(request.request_id, "", "so it is \\boxed{1}", tokens_out=7)
    with pytest.raises(InputError, match=r"20 of which are reasoning alone .*so it is .*boxed\{1\}'"):
        ask(store, engine, check=check("unparsed"))


def test_the_look_verifies_as_the_run_will(store):
    from forkpipe.parameters import VerificationSettings

    settings = EarlyStopSettings(first=20)
    with (
        early.early_check(settings, VerificationSettings(), PROBLEMS) as made,
        pytest.raises(InputError, match="no answer was found in 20 of the first 20"),
    ):
        ask(store, WindowEngine(text="Let me think.\nIt is late.\nI shall not say."), check=made)
    with early.early_check(None, VerificationSettings(), PROBLEMS) as made:
        assert made is None


def test_a_price_limit_needs_prices():
    with pytest.raises(ValueError, match=r"limits\.price is set and teacher t has no price"):
        GenerationSettings.model_validate({"teachers": {"t": {"engine": "x"}}, "limits": {"price": 1}})


@pytest.mark.parametrize("answers", [["0" * 16], ["not an id"], None])
def test_an_engine_that_answers_what_is_not_open_is_named(store, answers):
    engine = WindowEngine()

    def generate(requests):
        for one in answers or [requests[0].request_id] * 2:
            yield Completion(one)

    engine.generate = generate
    with pytest.raises(InputError, match=r"the engine of teacher t answered request .*, which is not open"):
        ask(store, engine)


def test_an_unknown_finish_reason_is_named(store):
    engine = WindowEngine()
    engine.answer = lambda request: Completion(request.request_id, finish_reason="tool_calls")
    with pytest.raises(InputError, match="finish reason 'tool_calls', expected one of: stop, length, error"):
        ask(store, engine)


# --- cleaning


def test_cleaning_counts_and_then_drops_what_is_not_asked_for(store):
    ask(store, WindowEngine())
    ask(store, WindowEngine(), problems=PROBLEMS[:5], teacher=TEACHER.model_copy(update={"prompt": "Q: {problem}"}))
    keys = plan_requests(PROBLEMS[:30], "t", TEACHER, WindowEngine()).keys
    counted = cleaning.clean(store, keys, delete=False)
    assert (counted.rows, counted.tokens, counted.rows_kept, counted.bytes_after) == ({"t": 15}, {"t": 105}, 30, None)
    assert held(store) == 45
    assert cleaning.clean(store, keys, delete=True).rows == {"t": 15}
    assert held(store) == 30
    assert cleaning.clean(store, keys, delete=True).rows == {}
