"""The store of completions: what is found again, by whom it was written, what a crash leaves, what older files hold."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkpipe.core.errors import InputError
from forkpipe.core.records import Completion, Request, Sampling
from forkpipe.stores.completions import CompletionStore
from forkpipe.strategies.asker import Asker, answer_store


def request(name, max_tokens=10):
    return Request(name, "p", "", "", 0, 0, Sampling(max_tokens=max_tokens))


class Counting:
    """Completes requests with texts of the given length, and counts them."""

    version = "1"
    identity = "counting"

    def __init__(self, tokens=3):
        self.tokens, self.asked = tokens, []

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        for one in requests:
            self.asked.append(one.request_id)
            limit = one.sampling.max_tokens
            reason = "stop" if self.tokens < limit else "length"
            kept = tuple(range(min(self.tokens, limit)))
            yield Completion(one.request_id, " ".join(map(str, kept)), "", kept, None, 1, len(kept), reason)


def ask(path, requests, engine=None, described="1 counting"):
    """Return what a store of its own answers, and which requests the engine was asked."""
    engine = engine or Counting()
    completions = CompletionStore(path).of(requests, described)
    completions.ask(engine)
    return dict(completions), engine.asked


def test_equal_requests_are_asked_once_and_kept(tmp_path):
    path = tmp_path / "new" / "c.jsonl"
    first, asked = ask(path, [request("a"), request("b"), request("a")])
    assert asked == ["a", "b"]
    again, asked = ask(path, [request("b"), request("c"), request("a")])
    assert asked == ["c"]
    assert {name: again[name] for name in "ab"} == first


@pytest.mark.parametrize(
    ("tokens", "before", "after", "asked_again"),
    [
        (3, 10, 20, False),
        (3, 10, 5, False),  # it ended before either limit
        (8, 10, 5, True),  # it would be cut
        (5, 10, 5, True),  # at five tokens its end is not written
        (30, 10, 20, True),  # it was cut
        (30, 10, 10, False),  # as it would be again
    ],
)
def test_another_limit_of_tokens_asks_again_for_what_it_changes(tmp_path, tokens, before, after, asked_again):
    path = tmp_path / "c.jsonl"
    ask(path, [request("a", before)], Counting(tokens))
    found, asked = ask(path, [request("a", after)], Counting(tokens))
    assert asked == ["a"] * asked_again
    assert found == ask(tmp_path / "fresh.jsonl", [request("a", after)], Counting(tokens))[0]
    # The first answer is still there.
    assert ask(path, [request("a", before)], Counting(tokens))[1] == []


def test_another_engine_is_asked_itself(tmp_path):
    path = tmp_path / "c.jsonl"
    for described in ("1 counting", "1 other", "2 counting"):
        assert ask(path, [request("a")], described=described)[1] == ["a"]
        assert ask(path, [request("a")], described=described)[1] == []


def test_lines_of_version_0_1_answer_any_engine(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    ask(path, [request("a")])
    row = json.loads(path.read_text())
    del row["engine"], row["max_tokens"]
    path.write_text(json.dumps(row) + "\n")
    assert ask(path, [request("a", 99)], described="1 other")[1] == []


def test_an_answer_to_something_else_is_refused(tmp_path):
    class Wrong(Counting):
        def generate(self, requests):
            for one in [*requests, *requests[:1]]:
                yield Completion(one.request_id)

    with pytest.raises(InputError, match="answered request a, which is not open"):
        ask(tmp_path / "c.jsonl", [request("a")], Wrong())
    assert ask(tmp_path / "c.jsonl", [request("a")])[1] == []  # its first answer was kept


def test_what_came_before_a_fault_is_kept(tmp_path):
    class Faulty(Counting):
        def generate(self, requests):
            yield from super().generate(requests[:2])
            raise RuntimeError("no memory")

    requests = [request(name) for name in "abcd"]
    with pytest.raises(RuntimeError):
        ask(tmp_path / "c.jsonl", requests, Faulty())
    assert ask(tmp_path / "c.jsonl", requests)[1] == ["c", "d"]


@settings(deadline=None)
@given(st.data())
def test_a_file_that_is_cut_anywhere_gives_all_whole_lines_and_goes_on(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("cut") / "c.jsonl"
    requests = [request(name) for name in "abcd"]
    whole, _ = ask(path, requests)
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    # A line counts once it is whole, also without the end of line.
    kept = sum(end <= cut + 1 for end in [i + 1 for i, byte in enumerate(content) if byte == 10])
    again, asked = ask(path, requests)
    assert again == whole
    assert asked == ["a", "b", "c", "d"][kept:]
    assert ask(path, requests)[1] == []


@settings(deadline=None)
@given(
    st.builds(
        Completion,
        st.just("a"),
        st.text(),
        st.text(),
        st.lists(st.integers(0, 2**31)).map(tuple),
        st.none() | st.integers(0, 9),
        st.integers(0, 9),
        st.integers(0, 9),
        st.sampled_from(["stop", "length"]),
        st.text(),
        st.floats(0, 9),
        st.none() | st.integers(0, 9),
    )
)
def test_a_completion_comes_back_as_it_was(tmp_path_factory, completion):
    path = tmp_path_factory.mktemp("one") / "c.jsonl"
    CompletionStore(path).append([completion], "e", {"a": 10})
    assert CompletionStore(path).of([request("a")], "e")["a"] == completion


def test_two_stores_of_one_file_see_what_the_other_appends(tmp_path):
    path = tmp_path / "c.jsonl"
    one, other = CompletionStore(path), CompletionStore(path)
    for name in "abc":
        one.append([Completion(name)])
        assert other.holds(name)
        one, other = other, one


@pytest.mark.parametrize("content", ["a note\n", "SQLite format 3\0...", '[{"request_id": "a"}]\n'])
def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_text(content)
    with pytest.raises(InputError, match=r"notes.txt: is no cache of answers and no store of completions"):
        CompletionStore(path)
    assert path.read_text() == content


def test_answers_that_version_0_1_kept_are_copied_and_not_asked_again(tmp_path):
    path = tmp_path / "answers.sqlite"

    class Answering(Counting):
        def generate(self, requests):
            for one in super().generate(requests):
                yield replace(one, text=f"answer to {one.request_id}")

    asked = []
    first = Answering()
    Asker(first, Sampling(0.0, 1.0, 64)).ask(["question"])
    (name,) = first.asked
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("CREATE TABLE answers (request_id TEXT PRIMARY KEY, text TEXT NOT NULL)")
        file.execute("INSERT INTO answers VALUES (?, 'kept')", (name,))
    before = path.read_bytes()
    for question, expected in (("question", "kept"), ("another", None)):
        engine = Answering()
        (answer,) = Asker(engine, Sampling(0.0, 1.0, 64), cache=str(path)).ask([question])
        assert answer == (expected or f"answer to {engine.asked[0]}")
        asked += engine.asked
    assert len(asked) == 1
    assert path.read_bytes() == before
    assert len((tmp_path / "answers.sqlite.jsonl").read_text().splitlines()) == 2
    assert answer_store(str(path)).holds(name)
