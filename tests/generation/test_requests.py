"""Asking teachers: what is sent, what is kept, what a killed run loses."""

import pytest

from forkpipe.core.errors import InputError
from forkpipe.core.records import Completion, Problem
from forkpipe.engines.registry import create_engines
from forkpipe.generation.asking import ask_teacher
from forkpipe.generation.collecting import collect
from forkpipe.generation.requests import plan_requests
from forkpipe.parameters import TeacherSettings
from forkpipe.stores.trace_store import TraceStore

PROBLEMS = [
    Problem.create(f"{i} + 1", str(i + 1), answer_type="integer", source="demo", source_id=str(i)) for i in range(10)
]


class CountingEngine:
    """Answers with the problem's own text, counts what it was asked, dies or cuts when told to."""

    version = "1"
    identity = "counting"

    def __init__(self, *, held=None, dies_after=None, finish="stop"):
        self.asked = []
        self.held = held
        self.dies_after = dies_after
        self.finish = finish

    def generate(self, requests):
        for request in requests:
            if self.dies_after is not None and len(self.asked) >= self.dies_after:
                raise KeyboardInterrupt
            self.asked.append(request.request_id)
            tokens = request.sampling.max_tokens if self.finish == "length" else 3
            error = "no answer" if self.finish == "error" else ""
            yield Completion(
                request.request_id, request.problem, tokens_out=tokens, finish_reason=self.finish, error=error
            )

    def samples_held(self, problem):
        return self.held

    def close(self):
        pass


def teacher(**changes):
    return TeacherSettings.model_validate({"engine": "test", "samples": 2, "sampling": {"max_tokens": 5}, **changes})


def ask(engine, store, **changes):
    """Ask, and return the rows of the table of traces."""
    settings = teacher(**changes)
    plan = plan_requests(PROBLEMS, "t", settings, engine)
    with store:
        outcome = ask_teacher("t", settings, plan, engine, store, "run")
        batches, _ = collect(store, {"t": [plan]}, {"t": settings}, {"t": outcome})
        return [row for table in batches for row in table.to_pylist()]


def rows_of(store):
    with store:
        return list(store.rows())


@pytest.fixture
def store(tmp_path):
    return TraceStore(tmp_path / "store")


def test_a_second_run_asks_nothing_and_gives_the_same_rows(store):
    first = ask(CountingEngine(), store)
    again = CountingEngine()
    assert ask(again, store) == first
    assert again.asked == []
    assert len(first) == 20
    assert len({row["trace_id"] for row in first}) == 20


def test_a_killed_run_is_continued(store):
    killed = CountingEngine(dies_after=10)
    with pytest.raises(KeyboardInterrupt):
        ask(killed, store)
    assert len(rows_of(store)) == 10
    second = CountingEngine()
    rows = ask(second, store)
    assert len(second.asked) == 10
    assert len(rows) == 20
    assert len(rows_of(store)) == 20


def test_only_what_is_new_is_asked(store):
    ask(CountingEngine(), store)
    for changes, asked in (({"samples": 3}, 10), ({"revision": "2"}, 20), ({"prompt": "Solve {problem}"}, 20)):
        engine = CountingEngine()
        ask(engine, store, **changes)
        assert len(engine.asked) == asked, changes


def test_a_higher_limit_asks_again_for_what_was_cut(store):
    cut = ask(CountingEngine(finish="length"), store)
    assert {row["attempt"] for row in cut} == {0}
    same = CountingEngine()
    ask(same, store)
    assert same.asked == []
    longer = CountingEngine()
    rows = ask(longer, store, sampling={"max_tokens": 50})
    assert len(longer.asked) == 20
    assert {(row["attempt"], row["finish_reason"]) for row in rows} == {(1, "stop")}
    assert len({row["trace_id"] for row in [*cut, *rows]}) == 40


def test_a_lower_limit_makes_longer_answers_truncated_and_asks_nothing(store):
    ask(CountingEngine(), store)
    engine = CountingEngine()
    rows = ask(engine, store, sampling={"max_tokens": 2})
    assert engine.asked == []
    assert {row["finish_reason"] for row in rows} == {"length"}
    assert {row["finish_reason"] for row in ask(engine, store)} == {"stop"}


def test_another_model_or_file_behind_a_teacher_is_asked_anew(store):
    ask(CountingEngine(), store)
    other = CountingEngine()
    other.identity = "counting, by another file"
    ask(other, store)
    assert len(other.asked) == 20


def test_an_engine_that_answers_too_little_is_named(store):
    class Lazy(CountingEngine):
        def generate(self, requests):
            yield from list(super().generate(requests))[:7]

    with pytest.raises(InputError, match="engine of teacher t answered 7 of 20 requests"):
        ask(Lazy(), store)
    assert len(rows_of(store)) == 7


def test_a_teacher_that_holds_nothing_is_named(store):
    with pytest.raises(InputError, match="teacher t holds no trace of any of the 10 problems"):
        ask(CountingEngine(held=0), store)


def test_failures_are_rows_and_are_asked_again(store):
    failed = ask(CountingEngine(finish="error"), store)
    assert {(row["status"], row["error"]) for row in failed} == {("failed", "no answer")}
    engine = CountingEngine()
    assert {row["status"] for row in ask(engine, store)} == {"done"}
    assert len(engine.asked) == 20


def test_requests_may_come_as_a_list_and_each_once(store):
    engine = CountingEngine()
    plan = plan_requests(PROBLEMS, "t", teacher(), engine)
    assert ask_teacher("t", teacher(), list(plan)[:7], engine, store, "run").answered == 7
    assert engine.asked == [request.request_id for request in plan[:7]]
    assert plan[-1] == list(plan)[-1]
    with pytest.raises(InputError, match="planned twice"):
        ask_teacher("t", teacher(), [plan[0], plan[0]], engine, store, "run")


def test_an_engine_that_holds_fewer_samples_gives_those(store):
    assert len(ask(CountingEngine(held=1), store)) == 10


def test_a_missing_package_and_an_unknown_option_are_named(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"generation.teachers.big: engine 'transformers' needs the package torch"):
        create_engines({"big": TeacherSettings(engine="transformers", options={"model": "m"})})
    with pytest.raises(InputError, match=r"generation.teachers.x.options of engine 'procedural'.*'speed'"):
        create_engines({"x": TeacherSettings(engine="procedural", options={"strategy": "cycle", "speed": 1})})
