"""Rows of traces in other shapes than one text: nested fields, chats, lists, batch output of hosted APIs."""

import json

import pytest
from test_imported import _request

from forkpipe.core.errors import InputError
from forkpipe.core.file_digests import file_digest
from forkpipe.engines.imported import ImportEngine


@pytest.fixture
def write(tmp_path):
    def _write(rows, name="traces.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return _write


def _samples(engine, problem="2 + 2"):
    requests = [_request(problem, sample) for sample in range(engine.samples_held(problem))]
    return [
        (one.text, one.reasoning, one.finish_reason, one.tokens_out, one.error) for one in engine.generate(requests)
    ]


def test_fields_within_fields_are_read(write):
    rows = [{"task": {"q": "2 + 2"}, "out": [{"say": "4"}], "out.0.why": "a name with dots", "info": {"model": "m"}}]
    fields = {"problem": "task.q", "text": "out.0.say", "reasoning": "out.0.why"}
    engine = ImportEngine(write(rows), fields, where={"info.model": "m"})
    assert _samples(engine) == [("4", "a name with dots", "stop", 5, "")]
    with pytest.raises(InputError, match=r"row 1: field 'out\.1\.say' is missing"):
        ImportEngine(write(rows), {**fields, "text": "out.1.say"}).samples_held("2 + 2")


def test_a_list_of_texts_is_several_samples_and_lists_beside_it_have_a_value_for_each(write):
    row = {
        "problem": "2 + 2",
        "generations": ["it is 4", "5", None],
        "ends": ["stop", "length", "stop"],
        "right": [True, False, True],
        "level": 3,
        "tags": ["a", "b"],
    }
    fields = {"text": "generations", "finish_reason": "ends"}
    assert _samples(ImportEngine(write([row]), fields)) == [
        ("it is 4", "", "stop", 3, ""),
        ("5", "", "length", 1, ""),
        ("", "", "error", 0, "refused: the file holds no text (null)"),
    ]
    assert [one[0] for one in _samples(ImportEngine(write([row]), fields, where={"right": True, "level": 3}))] == [
        "it is 4",
        "",
    ]
    with pytest.raises(InputError, match="field 'generations' is int, expected text"):
        ImportEngine(write([{**row, "generations": [1, 2, 3]}]), fields).samples_held("2 + 2")


USER, SYSTEM = {"role": "user", "content": "2 + 2\nBox it."}, {"role": "system", "content": "Think."}
CHATS = [
    {"messages": [SYSTEM, USER, {"role": "assistant", "content": "<think>x</think>4"}]},
    {"messages": [USER, {"role": "assistant", "content": "<think>x</think>4"}, USER]},
    {"conversations": [{"from": "human", "value": "2 + 2 Box it."}, {"from": "gpt", "value": "<think>x</think>4"}]},
    {"messages": [USER, {"role": "assistant", "content": [{"type": "text", "text": "<think>x</think>4"}]}]},
]


@pytest.mark.parametrize("row", CHATS)
def test_the_last_message_of_the_assistant_is_the_text_of_a_chat(write, row):
    expected = [("<think>x</think>4", "", "stop", 1, "")]
    assert _samples(ImportEngine(write([row]), prompt="{problem}\nBox it.")) == expected
    assert _samples(ImportEngine(write([{**row, "problem": "2 + 2"}]))) == expected
    (column,) = row
    assert (
        _samples(
            ImportEngine(write([{"in": {"q": "2 + 2"}, "out": row}]), {"problem": "in.q", "text": f"out.{column}"})
        )
        == expected
    )


def test_a_chat_without_an_answer_is_a_failed_sample(write):
    path = write(
        [{"messages": [USER], "problem": "2 + 2"}, {"messages": [USER, {"role": "assistant", "content": None}]}]
    )
    engine = ImportEngine(path, prompt="{problem}\nBox it.", fields={})
    assert _samples(engine)[0][2:] == ("error", 0, "refused: the file holds no text (null)")


def _openai(choices, **body):
    return {"status_code": 200, "body": {"choices": choices, **body}}


def _line(response=None, error=None, **parts):
    return {"id": "batch_1", "custom_id": "p2", "error": error, "response": response, **parts}


def _claude(**result):
    return {"custom_id": "p2", "result": result}


TWO = [
    {"index": 0, "message": {"content": "4", "reasoning_content": "x y"}, "finish_reason": "stop"},
    {"index": 1, "message": {"content": "cu"}, "finish_reason": "length"},
]
OUTPUT = [{"type": "reasoning"}, {"type": "message", "content": [{"type": "output_text", "text": "is 4"}]}]
THOUGHT = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "so 4"}]
BUSY = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
BATCH = [
    _line(_openai(TWO, usage={"completion_tokens": 9})),
    _line(_openai([{"text": "four", "finish_reason": "stop"}], usage={"completion_tokens": 7})),
    _line(_openai([{"message": {"content": ""}, "finish_reason": "content_filter"}])),
    _line(error={"code": "batch_expired", "message": "too\nlate"}),
    _line({"status_code": 400, "body": {"error": {"message": "bad"}}}),
    _line({"body": {"status": "completed", "usage": {"output_tokens": 5}, "output": OUTPUT}}),
    _claude(type="succeeded", message={"content": THOUGHT, "stop_reason": "end_turn", "usage": {"output_tokens": 6}}),
    _claude(type="errored", error=BUSY),
    _claude(type="expired"),
    {"custom_id": "other", "result": {"type": "expired"}},
]
FAILED = "refused: recorded as failed in the file"
REPLIES = [
    ("4", "x y", "stop", 3, ""),
    ("cu", "", "length", 1, ""),
    ("four", "", "stop", 7, ""),
    ("", "", "error", 0, f"{FAILED}: finish reason content_filter"),
    ("", "", "error", 0, f"{FAILED}: too late"),
    ("", "", "error", 0, f"{FAILED}: bad"),
    ("is 4", "", "stop", 5, ""),
    ("so 4", "hm", "stop", 6, ""),
    ("", "", "error", 0, f"{FAILED}: busy"),
    ("", "", "error", 0, f"{FAILED}: expired"),
]


def test_batch_output_of_hosted_apis_is_matched_by_id(write):
    """Replies with several choices count tokens together, so their words are counted; failures keep their message."""
    path = write(BATCH)
    problems = write([{"id": "p2", "problem": "2  + 2"}, {"id": "p3", "problem": "3 + 3"}], "problems.jsonl")
    assert _samples(ImportEngine(path, problems=problems)) == REPLIES
    renamed = write([{"key": "p2", "q": "2 + 2"}], "renamed.jsonl")
    mapping = {"path": renamed, "id": "key", "problem": "q"}
    assert _samples(ImportEngine(path, problems=mapping)) == REPLIES
    assert ImportEngine(path, problems=mapping).samples_held("3 + 3") == 0
    with pytest.raises(InputError, match=r"field 'problem' is missing.*; options.problems says which problem an id is"):
        ImportEngine(path).samples_held("2 + 2")
    none = write([{"id": "p9", "problem": "2 + 2"}], "none.jsonl")
    with pytest.raises(InputError, match=r"none of 10 rows has an id of .*none\.jsonl"):
        ImportEngine(path, problems=none).samples_held("2 + 2")


def test_rows_that_are_left_out_need_no_text_and_an_id_names_one_problem(write):
    path = write([{"teacher": "b", "id": 1}, {"teacher": "a", "id": 1, "text": "4"}])
    problems = [{"id": 1, "problem": "2 + 2"}, {"id": 1, "problem": "2 + 2"}]
    engine = ImportEngine(path, where={"teacher": "a"}, problems=write(problems, "problems.jsonl"))
    assert _samples(engine) == [("4", "", "stop", 1, "")]
    twice = write([*problems, {"id": "1", "problem": "3 + 3"}], "twice.jsonl")
    with pytest.raises(InputError, match=r"twice\.jsonl row 3: id '1' is that of another problem already"):
        ImportEngine(path, problems=twice).samples_held("2 + 2")


def test_ids_may_be_numbers_and_stand_beside_texts(write):
    problems = write([{"id": 7, "problem": "2 + 2"}], "problems.jsonl")
    path = write([{"n": "7", "text": "4"}, {"n": 7, "text": "5"}, {"n": 8, "text": "6"}])
    assert [one[0] for one in _samples(ImportEngine(path, {"id": "n"}, problems=problems))] == ["4", "5"]


def test_identity_changes_only_with_what_is_read(write):
    """Files without new options keep the identity, and so the request ids, that they had."""
    path, problems = (
        write([{"problem": "2 + 2", "text": "4"}]),
        write([{"id": 7, "problem": "2 + 2"}], "problems.jsonl"),
    )
    plain = ImportEngine(path, {"text": "text"}).identity
    assert plain == f"import {file_digest(path)} [('text', 'text')] []"
    others = [
        ImportEngine(path, {"text": "text"}, **options).identity
        for options in ({"problems": problems}, {"problems": {"path": problems, "id": "x"}}, {"prompt": "{problem}!"})
    ]
    assert len({plain, *others}) == 4
