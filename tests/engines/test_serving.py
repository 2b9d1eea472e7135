"""The parts of the engine for servers: replies, waits, the iterator over a loop in a thread."""

import asyncio
import json
import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkpipe.engines.serving.bridge import iterate
from forkpipe.engines.serving.failures import RequestError, from_status, retry_after, wait_before
from forkpipe.engines.serving.replies import FINISHED, read_reply

GOOD = {
    "model": "m",
    "choices": [{"finish_reason": "stop", "message": {"content": "yes"}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2},
}

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(values)
def test_whatever_json_a_server_sends_is_a_reply_or_a_named_failure(value):
    with pytest.raises(RequestError):
        read_reply(json.dumps(value).encode(), "m", ())


@given(st.sampled_from(["model", "choices", "usage"]), values)
def test_one_field_gone_wrong_is_a_reply_or_a_named_failure(field, value):
    try:
        reply = read_reply(json.dumps({**GOOD, field: value}).encode(), "m", ())
    except RequestError:
        return
    assert (reply.text, reply.finish_reason) == ("yes", "stop")


@given(st.sampled_from(["finish_reason", "message", "token_ids"]), values)
def test_one_field_of_a_choice_gone_wrong_likewise(field, value):
    choice = {**GOOD["choices"][0], field: value}
    try:
        reply = read_reply(json.dumps({**GOOD, "choices": [choice]}).encode(), "m", ())
    except RequestError:
        return
    assert reply.finish_reason in FINISHED.values()


@given(st.binary(max_size=20))
def test_bytes_that_are_no_json_are_an_invalid_reply(content):
    with pytest.raises(RequestError):
        read_reply(content, "m", ())


@pytest.mark.parametrize(
    ("finish", "expected"),
    [("stop", "stop"), ("eos_token", "stop"), ("length", "length"), ("content_filter", "refused"),
     ("abort", "server error"), ("tool_calls", "invalid reply"), ("STOP", "stop"), (None, "stop")],
)  # fmt: skip
def test_how_a_text_ended(finish, expected):
    choice = {**GOOD["choices"][0], "finish_reason": finish}
    try:
        said = read_reply(json.dumps({**GOOD, "choices": [choice]}).encode(), "m", ()).finish_reason
    except RequestError as failure:
        said = failure.kind
    assert said == expected


@pytest.mark.parametrize(("tokens", "expected"), [(9, "stop"), (10, "length"), (None, "stop")])
def test_a_reply_without_a_finish_reason_is_cut_if_it_is_as_long_as_its_limit(tokens, expected):
    choice = {**GOOD["choices"][0], "finish_reason": None}
    reply = {**GOOD, "choices": [choice], "usage": {"completion_tokens": tokens}}
    assert read_reply(json.dumps(reply).encode(), "m", (), limit=10).finish_reason == expected


TEXT = [{"type": "text", "text": "so "}, {"type": "text", "text": "4"}]


@pytest.mark.parametrize(
    ("message", "reasoning"),
    [({"content": TEXT}, ""), ({"content": [{"type": "thinking", "thinking": "hm"}, *TEXT]}, "hm"),
     ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, *TEXT]}, "hm"),
     ({"content": TEXT, "reasoning": [{"type": "text", "text": "hm"}]}, "hm"),
     ({"content": TEXT, "reasoning_content": "hm", "reasoning": "hm"}, "hm")],
)  # fmt: skip
def test_a_content_in_parts_is_one_text(message, reasoning):
    reply = {**GOOD, "choices": [{"finish_reason": "stop", "message": message}]}
    read = read_reply(json.dumps(reply).encode(), "m", ())
    assert (read.text, read.reasoning) == ("so 4", reasoning)


def test_a_server_that_does_not_name_its_model_is_believed():
    assert read_reply(json.dumps({**GOOD, "model": None}).encode(), "m", ()).text == "yes"


def test_a_date_to_wait_for():
    wait = retry_after({"retry-after": formatdate(time.time() + 100, usegmt=True)})
    assert wait == pytest.approx(100, abs=5)


def test_waits_double_with_jitter_up_to_the_longest():
    """The n-th wait lies in [2 ** (n - 2), 2 ** (n - 1)] seconds, and from the fifth on in [5, 10]."""
    for tries in range(1, 5):
        assert 2 ** (tries - 2) <= wait_before(tries, None, 1.0, 10.0) <= 2 ** (tries - 1)
    assert 5 <= wait_before(5000, None, 1.0, 10.0) <= 10
    assert len({wait_before(3, None, 1.0, 10.0) for _ in range(20)}) > 10


def test_what_a_server_asks_for_is_kept_whatever_the_longest():
    waits = [wait_before(1, 100.0, 1.0, 10.0) for _ in range(50)]
    assert min(waits) >= 100
    assert max(waits) <= 125


@pytest.mark.parametrize(
    ("status", "code", "kind", "again", "ends"),
    [(429, None, "rate limit", True, ""), (429, "insufficient_quota", "refused", False, "lasting"),
     (400, None, "refused", False, ""), (401, None, "refused", False, "lasting"),
     (402, None, "refused", False, "lasting"), (403, None, "refused", True, "misconfigured"),
     (404, None, "refused", True, "misconfigured"), (408, None, "server error", True, ""),
     (503, None, "server error", True, "")],
)  # fmt: skip
def test_what_a_status_means(status, code, kind, again, ends):
    failure = from_status(status, {"retry-after": "3"}, {"code": code}, "said")
    assert (failure.kind, failure.again) == (kind, again)
    assert (failure.lasting, failure.misconfigured) == (ends == "lasting", ends == "misconfigured")
    assert (failure.retry_after == 3.0) == (kind != "refused")


def test_a_secret_goes_from_what_was_said_before_it_is_cut():
    failure = RequestError("refused", "x" * 290 + " the key sk-12345678901234567890").hide("sk-12345678901234567890")
    assert str(failure).startswith("refused: xxx")
    assert "sk-" not in str(failure)


def test_items_come_while_others_are_made():
    async def produce(put):
        for i in range(100):
            await put(i)

    assert list(iterate(produce, room=3)) == list(range(100))


def test_an_error_of_the_producer_comes_after_what_it_gave():
    async def produce(put):
        await put(1)
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())

    async def fail():
        raise KeyError("it")

    items = iterate(produce, room=3)
    assert next(items) == 1
    with pytest.raises(KeyError, match="it"):
        next(items)


def test_closing_waits_until_the_producer_has_cleaned_up():
    ended = []

    async def produce(put):
        try:
            while True:
                await put(0)
        finally:
            await asyncio.sleep(0.01)
            ended.append(True)

    items = iterate(produce, room=3)
    next(items)
    items.close()
    assert ended == [True]
