"""Several teachers: side by side at servers, one after the other on this machine."""

import threading
from dataclasses import asdict

import pyarrow as pa
import pytest

from forkpipe.core.errors import InputError
from forkpipe.core.records import Completion, Problem
from forkpipe.generation import generating
from forkpipe.generation.budget import Budget
from forkpipe.generation.teachers import Asking
from forkpipe.parameters import (
    GenerationSettings,
    LimitSettings,
    ParallelSettings,
    StrategySettings,
    TeacherSettings,
    VerificationSettings,
)
from forkpipe.stores.trace_store import TraceStore

PROBLEMS = [
    Problem.create(f"{i} + 1", str(i + 1), answer_type="integer", source="demo", source_id=str(i)) for i in range(20)
]
SECONDS = 20
"""After which a teacher that waits for another gives up: with one after the other it would wait for ever."""


class Teacher:
    """An engine that notes when it begins and ends; `before` is called with the number of each answer before it."""

    version = "1"

    def __init__(self, name, events, before=lambda number: None, at_servers=True):
        self.identity, self.events, self.before, self.at_servers = name, events, before, at_servers

    def generate(self, requests):
        self.events.append(("begin", self.identity))
        for number, request in enumerate(requests):
            self.before(number)
            yield Completion(request.request_id, f"\\boxed{{{number}}}", tokens_in=3, tokens_out=7)

    def samples_held(self, problem):
        return None

    def close(self):
        self.events.append(("close", self.identity))


def ask(store, engines, limits=None):
    teachers = {name: TeacherSettings(engine="test") for name in engines}
    with store:
        return Asking(PROBLEMS, teachers, engines, store, Budget(LimitSettings(**(limits or {}))), None).ask()


@pytest.fixture
def store(tmp_path):
    return TraceStore(tmp_path / "store")


def held(store):
    with store:
        return len(store.index())


def test_teachers_at_servers_are_asked_side_by_side_and_come_in_their_order(store):
    both, events = threading.Barrier(3), []

    def meet(number):
        if number == 5:
            both.wait(SECONDS)

    engines = {name: Teacher(name, events, meet, at_servers=name != "here") for name in ("b", "here", "a")}
    came = ask(store, engines)
    assert list(came) == ["b", "here", "a"]
    assert {outcome.answered for _, outcome in came.values()} == {20}
    assert held(store) == 60
    assert sorted(what for what, _ in events) == ["begin"] * 3 + ["close"] * 3


def test_teachers_of_this_machine_are_asked_one_after_the_other(store):
    events = []
    ask(store, {name: Teacher(name, events, at_servers=False) for name in "ab"})
    assert events == [("begin", "a"), ("close", "a"), ("begin", "b"), ("close", "b")]


def test_what_one_spends_counts_for_all(store):
    came = ask(store, {name: Teacher(name, []) for name in "ab"}, {"tokens": 100})
    answered = sum(outcome.answered for _, outcome in came.values())
    # ten tokens an answer; each may have had one under way
    assert 10 <= answered <= 12
    assert held(store) == answered


def test_an_error_at_one_teacher_ends_it_alone_and_loses_nothing(store, caplog):
    events = []

    def fail(number):
        if number == 3:
            raise InputError("the key is refused")

    engines = {"a": Teacher("a", events), "b": Teacher("b", events, fail)}
    engines["here"] = Teacher("here", events, at_servers=False)
    with pytest.raises(InputError, match=r"^the key is refused$"):
        ask(store, engines)
    assert held(store) == 20 + 3 + 20
    assert {("close", name) for name in engines} <= set(events)
    assert "teacher b ends with an error: the key is refused" in caplog.text
    came = ask(store, {name: Teacher(name, []) for name in engines})
    assert {name: outcome.to_send for name, (_, outcome) in came.items()} == {"a": 0, "b": 17, "here": 0}


def test_the_errors_of_several_teachers_are_all_named(store):
    def fail(number):
        raise InputError("no")

    with pytest.raises(InputError, match=r"^a: no; b: no$|^b: no; a: no$"):
        ask(store, {name: Teacher(name, [], fail) for name in "ab"})


def test_traces_are_the_same_side_by_side_or_not(tmp_path, monkeypatch):
    table = pa.Table.from_pylist([{**asdict(problem), "split": "train"} for problem in PROBLEMS])
    settings = GenerationSettings.model_validate(
        {"teachers": {"a": {"engine": "test"}, "b": {"engine": "test"}}, "early_stop": None}
    )
    found = []
    for at_servers in (False, True):
        engines = {name: Teacher(name, [], at_servers=at_servers) for name in "ab"}
        monkeypatch.setattr(generating, "create_engines", lambda teachers, engines=engines: engines)
        store = TraceStore(tmp_path / str(at_servers))
        traces, totals, rejected = generating.generate_traces(
            table, settings, VerificationSettings(), StrategySettings(), ParallelSettings(),
            store=store, verdicts=None, clusters=None,
        )  # fmt: skip
        assert rejected == []
        found.append(([row for batch in traces for row in batch.to_pylist()], totals))
    assert found[0] == found[1]
    assert [row["teacher"] for row in found[0][0]] == ["a", "b"] * 20
