"""The engine for OpenAI-compatible servers, against a server of our own that fails as it is told."""

import logging
import random
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest
from fault_server import FAULTS, FaultServer, answer_to

from forkpipe.core.engine import Engine
from forkpipe.core.errors import InputError
from forkpipe.core.plugins import create
from forkpipe.core.records import Request, Sampling
from forkpipe.engines.openai import OpenAIEngine
from forkpipe.engines.registry import ENGINES
from forkpipe.engines.serving import servers


def requests(n, max_tokens=20, **more):
    return [
        Request.create(
            problem_id=f"p{i}",
            problem="",
            asked_of="m",
            revision="",
            prompt=f"question {i}",
            sample=0,
            sampling=Sampling(0.7, 0.9, max_tokens),
            **more,
        )
        for i in range(n)
    ]


def engine(*servers, **options):
    urls = [server.url for server in servers]
    return OpenAIEngine(**{"model": "m", "base_url": urls, "timeout": 60.0, "backoff": 0.01, **options})


def one(server, **options):
    (completion,) = engine(server, **options).generate(requests(1))
    return completion


def some_fail(share, seed=0):
    """A share of all requests fails, each in a way drawn by chance."""
    drawn = random.Random(seed)
    return lambda number, body: drawn.choice(FAULTS) if drawn.random() < share else None


def no_threads_left():
    return not [thread for thread in threading.enumerate() if thread.name == "forkpipe-requests"]


@pytest.mark.parametrize("stream", [False, True])
def test_where_three_of_ten_fail_every_request_gets_its_own_answer(stream):
    asked = requests(300)
    with FaultServer(fault=some_fail(0.3)) as server:
        given = {
            done.request_id: done
            for done in engine(server, concurrency=32, timeout=2.0, attempts=12, stream=stream).generate(asked)
        }
        assert server.faults.keys() == set(FAULTS)
        assert server.most_in_flight <= 32
        assert server.served >= 300 + server.faults.total()  # what failed was sent again
    assert len(given) == 300
    for request in asked:
        body = {"prompt": request.prompt, "seed": request.seed}
        assert given[request.request_id].text == answer_to(body)
        assert given[request.request_id].finish_reason == "stop"
    assert no_threads_left()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("429", "rate limit"),
        ("429 seconds", "rate limit"),
        ("429 date", "rate limit"),
        ("500", "server error"),
        ("hang", "timeout"),
        ("cut", "cut stream"),
        ("cut stream", "cut stream"),
        ("garbage", "invalid reply"),
        ("no choice", "empty reply"),
        ("no answer", "empty reply"),
        ("wrong model", "wrong model"),
        ("400", "refused"),
    ],
)
def test_what_never_works_ends_as_a_failure_with_its_name(fault, kind, stream):
    with FaultServer(fault=lambda number, body: fault) as server:
        timeout = 0.2 if fault == "hang" else 60.0
        done = one(server, stream=stream, attempts=2, timeout=timeout, rate_limit_wait=0.02)
        assert done.finish_reason == "error"
        assert done.error.startswith(f"{kind}: ")
        assert "\n" not in done.error
        assert done.text == ""
        if kind != "rate limit":
            assert server.served == (1 if kind == "refused" else 2)


def test_one_that_fails_keeps_no_other_from_its_answer():
    with FaultServer(fault=lambda number, body: "500" if "7" in body["messages"][0]["content"] else None) as server:
        given = list(engine(server, concurrency=4, attempts=2, backoff=0.02).generate(requests(30)))
    assert Counter(done.finish_reason for done in given) == {"stop": 27, "error": 3}  # 7, 17, 27


def test_after_an_outage_the_server_is_as_busy_as_before():
    """While every request fails the server is tried by one at a time; afterwards all 16 places fill again."""
    outage = threading.Event()
    busy = {"before": 0, "in": 0, "after": 0}
    phase = "before"

    def fault(number, body):
        busy[phase] = max(busy[phase], server.in_flight)
        return "500" if outage.is_set() else None

    with FaultServer(fault=fault, latency=0.03) as server:
        answers = engine(server, concurrency=16, attempts=100, longest_backoff=0.02).generate(requests(400))
        given = [next(answers) for _ in range(100)]
        outage.set()
        while server.faults.total() < 22:
            time.sleep(0.01)
        phase = "in"
        while server.faults.total() < 25:
            time.sleep(0.01)
        phase = "after"
        outage.clear()
        given += list(answers)
    assert len({done.request_id for done in given if done.finish_reason == "stop"}) == 400
    assert busy == {"before": 16, "in": 1, "after": 16}


def test_a_dead_server_is_left_out_and_comes_back():
    first, second = FaultServer(latency=0.005).start(), FaultServer(latency=0.005).start()
    served = []
    try:
        answers = engine(first, second, concurrency=8, backoff=0.02).generate(requests(800))
        given = [next(answers) for _ in range(100)]
        served.append(second.served)
        second.stop()
        given += [next(answers) for _ in range(200)]
        served.append(second.served)
        second.start()
        given += list(answers)
        served.append(second.served)
    finally:
        first.stop()
        second.stop()
    assert len({done.request_id for done in given}) == 800
    assert all(done.finish_reason == "stop" for done in given)
    assert served[0] > 20  # half of a hundred, about: the least loaded is asked
    assert served[1] - served[0] <= 8  # what was on its way
    assert served[2] - served[1] > 50


def test_without_any_server_the_run_ends_and_says_why():
    with FaultServer() as server:
        pass  # its port is free again
    with pytest.raises(InputError, match=r"no server has answered for .* connection: ") as caught:
        list(engine(server, patience=0.2, concurrency=4).generate(requests(20)))
    assert server.url in str(caught.value)
    assert no_threads_left()


@pytest.mark.parametrize("fault", ["401", "402", "403", "404", "quota"])
def test_what_every_request_would_meet_ends_the_run(fault):
    with FaultServer(fault=lambda number, body: fault) as server:
        with pytest.raises(InputError, match=r"refuses all requests: .*told to fail"):
            list(engine(server, concurrency=2).generate(requests(50)))
        assert server.served <= 4


def test_a_server_that_has_worked_is_given_another_try():
    with FaultServer(fault=lambda number, body: "404" if number % 3 == 1 else None) as server:
        given = list(engine(server, concurrency=1).generate(requests(6)))
    assert [done.finish_reason for done in given] == ["stop"] * 6


@pytest.mark.parametrize("fault", ["401", "402", "403", "404", "quota"])
def test_what_is_refused_from_some_moment_on_ends_the_run_and_keeps_what_was_answered(fault):
    """100 requests succeed, and 16 are then under way: among them are the five refusals in a row that are enough."""
    given = []
    with FaultServer(fault=lambda number, body: fault if number >= 100 else None, latency=0.005) as server:
        with pytest.raises(InputError, match=r"refuses all requests: refused: .*told to fail"):
            given.extend(engine(server, concurrency=16).generate(requests(1000)))
        assert server.served <= 100 + 16
    assert [done.finish_reason for done in given] == ["stop"] * 100


def test_replies_on_their_way_are_kept_when_the_key_is_refused():
    """Eight are sent; the second is refused, and the third, which waits for its second try, waits no longer."""

    def fault(number, body):
        return {1: "402", 2: "500"}.get(number)

    with FaultServer(fault=fault) as server:
        answers = engine(server, concurrency=8, backoff=60.0).generate(requests(100))
        given = []
        with pytest.raises(InputError, match="refuses all requests"):
            given.extend(answers)
        assert len(given) == server.served - 2
    assert {done.finish_reason for done in given} == {"stop"}


def test_a_prompt_that_moderation_flags_ends_no_run():
    with FaultServer(fault=lambda number, body: "flagged" if number < 10 else None) as server:
        given = list(engine(server, concurrency=1).generate(requests(12)))
        assert server.served == 12
    assert [done.error.split(":")[0] for done in given] == ["refused"] * 10 + [""] * 2


def test_a_server_is_not_asked_before_the_time_it_names():
    with FaultServer(fault=lambda number, body: "429 seconds" if number == 0 else None) as server:
        assert one(server, backoff=0.001).finish_reason == "stop"
        assert server.times[1] - server.times[0] >= 0.05  # what it named


def test_a_long_wait_is_not_silent(monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="forkpipe")
    monkeypatch.setattr(servers, "TELL_SECONDS", 0.02)
    with FaultServer(fault=lambda number, body: "429" if number < 3 else None) as server:
        assert one(server, backoff=0.4).finish_reason == "stop"
    waits = [line for line in caplog.messages if line.startswith("1 requests wait to be sent again, the first for ano")]
    assert len(waits) > 3
    assert all("s: rate limit: " in line for line in waits)
    with pytest.raises(InputError, match="no server has answered"):
        list(engine(server, patience=0.2).generate(requests(8)))
    assert any(line.startswith("no server has answered for 0 s, 0 s are allowed") for line in caplog.messages)


def test_one_who_stops_listening_stops_the_asking():
    with FaultServer(latency=0.005) as server:
        answers = engine(server, concurrency=4).generate(requests(1000))
        next(answers)
        answers.close()
        assert no_threads_left()
        served = server.served
        time.sleep(0.05)
        assert server.served == served < 1000


def test_answers_that_nobody_takes_are_not_heaped_up():
    """4 in flight, 4 that lie ready, 1 taken: a tenth request waits."""
    with FaultServer() as server:
        answers = engine(server, concurrency=4).generate(requests(100))
        next(answers)
        time.sleep(0.3)
        assert server.served <= 9
        assert len(list(answers)) == 99


def test_what_is_sent():
    with FaultServer() as server:
        (request,) = requests(1, max_tokens=5)
        one(server)
        one(server, system="Be brief.", max_tokens_field="max_completion_tokens", omit=["seed", "top_p"])
        one(server, endpoint="completions", extra_body={"top_k": 20})
        bodies = [{**body, "n": None} for body in server.requests]
    sent = {"model": "m", "temperature": 0.7, "n": None}
    asked = {"role": "user", "content": "question 0"}
    assert bodies[0] == {**sent, "messages": [asked], "max_tokens": 20, "top_p": 0.9, "seed": request.seed}
    system = {"role": "system", "content": "Be brief."}
    assert bodies[1] == {**sent, "messages": [system, asked], "max_completion_tokens": 20}
    more = {"max_tokens": 20, "top_p": 0.9, "seed": request.seed, "top_k": 20}
    assert bodies[2] == {**sent, "prompt": "question 0", **more}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_kept_apart(field, stream):
    def think(reply, body):
        reply["choices"][0]["message"] = {"role": "assistant", "content": "so 4", field: "two and two"}
        reply["usage"] = {"prompt_tokens": 11, "completion_tokens": 5}

    with FaultServer(reply=think) as server:
        done = one(server, stream=stream)
    assert (done.reasoning.strip(), done.text.strip()) == ("two and two", "so 4")
    assert (done.tokens_in, done.tokens_out, done.finish_reason) == (11, 5, "stop")


def test_a_text_that_was_cut_is_as_long_as_its_limit_where_nobody_counts():
    def cut(reply, body):
        reply["choices"][0]["finish_reason"] = "length" if body["max_tokens"] == 7 else "stop"
        del reply["usage"]

    with FaultServer(reply=cut) as server:
        (short,) = engine(server).generate(requests(1, max_tokens=7))
        (whole,) = engine(server).generate(requests(1, max_tokens=100))
    assert (short.finish_reason, short.tokens_out) == ("length", 7)
    assert (whole.finish_reason, whole.tokens_out) == ("stop", 7)  # its words


def test_thinking_without_words_is_an_answer():
    """A model that hides its reasoning and meets the limit gives no text, but the server counts its tokens."""

    def silent(reply, body):
        reply["choices"][0] |= {"message": {"role": "assistant", "content": ""}, "finish_reason": "length"}
        reply["usage"]["completion_tokens"] = 20

    with FaultServer(reply=silent) as server:
        done = one(server)
    assert (done.finish_reason, done.text, done.tokens_out) == ("length", "", 20)


def test_halves_of_characters_are_neither_sent_nor_kept():
    """A text with a lone surrogate cannot be written to a file; a pair that comes in two pieces is one character."""

    def broken(reply, body):
        reply["choices"][0]["message"] = {"role": "assistant", "content": "a \ud83d\ude00 b \ud83d"}

    (request,) = requests(1)
    with FaultServer(reply=broken) as server:
        assert one(server).text == "a \U0001f600 b \ufffd"
        (done,) = engine(server).generate([replace(request, prompt="\ud800")])
        assert server.served == 1
    assert done.error.startswith("refused: the prompt is no text that can be sent")


def test_other_names_of_the_model_are_taken_where_they_are_listed():
    with FaultServer(model="n-2026-11-22") as server:
        assert one(server, attempts=1).error.startswith("wrong model: 'n-2026-11-22' answered, expected 'm'")
        assert one(server, aliases=["n-2026-*"]).finish_reason == "stop"
    with FaultServer(model="m-2026-11-22") as server:
        assert one(server).finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "shown"),
    [("wrong model", "wrong model: 'another' answered, .*; it sent: {.*answer to question"),
     ("no choice", "empty reply: it has no choice; it sent: {.*\"choices\": \\[\\]")],
)  # fmt: skip
def test_first_replies_that_cannot_be_read_end_the_run_with_the_reply(fault, shown, stream):
    with FaultServer(fault=lambda number, body: fault) as server:
        shown = shown.replace("answer to question", "model.: .another") if stream else shown
        with pytest.raises(InputError, match=f"gives no reply that can be read: {shown}"):
            list(engine(server, concurrency=4, stream=stream).generate(requests(50)))
        assert server.served <= 5 + 4


def test_a_page_of_a_proxy_is_shown():
    with FaultServer(fault=lambda number, body: "garbage") as server:
        with pytest.raises(InputError, match=r"invalid reply: not JSON: .*; it sent: {\"choices\": \[{\"mess$"):
            list(engine(server, concurrency=4).generate(requests(50)))
        assert server.served <= 5 + 4


def test_replies_that_cannot_be_read_later_on_are_tried_again():
    with FaultServer(fault=lambda number, body: "garbage" if 5 <= number < 15 else None) as server:
        given = list(engine(server, concurrency=2, attempts=20).generate(requests(20)))
    assert {done.finish_reason for done in given} == {"stop"}


def test_what_changes_no_text_changes_no_id():
    plain = OpenAIEngine(model="m", base_url="http://a/v1")
    other = OpenAIEngine(
        model="m", base_url=["http://b/v1", "http://c/v1"], concurrency=3, timeout=1, stream=True, aliases=["n"],
        api_key_env="SOME_KEY", omit=["seed"],
    )  # fmt: skip
    assert plain.identity == other.identity == "openai m chat"
    texts = [{"system": "s"}, {"extra_body": {"top_k": 1}}, {"endpoint": "completions"}, {"omit": ["top_p"]}]
    changed = {OpenAIEngine(model="m", base_url="http://a/v1", **option).identity for option in texts}
    assert len(changed | {plain.identity}) == 5
    assert isinstance(plain, Engine)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": []}, "base_url is an empty list"),
        ({"base_url": "localhost:8000"}, "base_url is 'localhost:8000', expected an address such as"),
        ({"base_url": "http://me:secret@host/v1"}, "base_url of host holds a name or password"),
        ({"endpoint": "responses"}, "endpoint is 'responses', expected one of: chat, completions"),
        ({"model": 7}, "model is 7, expected the model's name at the server"),
        ({"concurrency": 0}, "concurrency is 0, expected a whole number from 1"),
        ({"timeout": "long"}, "timeout is 'long', expected seconds above 0"),
        ({"aliases": "n"}, "aliases is 'n', expected a list"),
        ({"omit": ["max_tokens"]}, "omit is 'max_tokens', expected one of"),
        ({"extra_body": {"n": 4}}, "extra_body has 'n', which other options of the engine set"),
        ({"api_key_env": "A", "credentials": "b"}, "are both given"),
        ({"system": "s", "endpoint": "completions"}, "has no messages"),
        ({"checkpoint": "c"}, "tags need endpoint 'completions'"),
        ({"api_key": "secret"}, "'api_key' is unknown, expected one of: model, base_url"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(InputError) as caught:
        create("engine", ENGINES, "openai", {"model": "m", "base_url": "http://a/v1", **options}, "teachers.t")
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)
