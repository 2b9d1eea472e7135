"""Encoding and batching: what stands where, what is refused."""

import re
from typing import ClassVar

import pytest
import torch

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.models.checkpoint import load_checkpoint
from forkpipe.parameters import SupervisedSettings
from forkpipe.parameters.trainers import SSFTFields, values_of
from forkpipe.training.config import SSFTConfig
from forkpipe.training.sequences import IGNORED, SetCollator, encode_sets, matched_sequences

ITEMS = [
    {"index": 0, "prompt": [1, 2], "traces": [[5, 6, 7], [8, 9]], "prefix_length": 2},
    {"index": 1, "prompt": [3], "traces": [[4, 4, 4, 4]], "prefix_length": 3},
]


@pytest.fixture
def encode(base, tmp_path):
    _, tokenizer, tags = load_checkpoint(base)

    def call(rows, ends=frozenset(), **changes):
        return encode_sets(rows, tokenizer, tags, SSFTConfig(output_dir=str(tmp_path), **changes), ends)

    call.tokenizer = tokenizer
    return call


def as_rows(sets):
    return [
        {
            "problem_id": one.problem_id,
            "problem": one.problem,
            "traces": [{"text": t.text, "trace_id": t.trace_id, "teacher": t.teacher} for t in one.traces],
        }
        for one in sets
    ]


def test_a_batch_by_hand():
    """Prompt, place of the tag, trace, padding (0): two traces of p, one of q; labels on trace tokens only."""
    batch = SetCollator(tag_length=1, pad_id=0)(ITEMS)
    assert batch["input_ids"].tolist() == [
        [[1, 2, 0, 5, 6, 7], [1, 2, 0, 8, 9, 0]],
        [[3, 0, 4, 4, 4, 4], [0, 0, 0, 0, 0, 0]],
    ]
    assert batch["trace_mask"].tolist() == [[True, True], [True, False]]
    assert (batch["labels"] != IGNORED).sum().item() == 3 + 2 + 4
    assert batch["labels"][0, 0].tolist() == [IGNORED] * 3 + [5, 6, 7]
    assert batch["attention_mask"][0].tolist() == [[1] * 6, [1] * 5 + [0]]
    assert batch["prefix_lengths"].tolist() == [2, 3]


def test_tags_go_into_their_place():
    batch = SetCollator(tag_length=1, pad_id=0)(ITEMS)
    filled = matched_sequences(batch, torch.tensor([[1, 0], [2, 0]]), torch.tensor([[90], [91], [92]]))
    assert filled["input_ids"].tolist() == [[1, 2, 91, 5, 6, 7], [1, 2, 90, 8, 9, 0], [3, 92, 4, 4, 4, 4]]
    assert filled["tag_labels"][2].tolist() == [IGNORED, 92] + [IGNORED] * 4
    assert filled["trace_labels"][1].tolist() == [IGNORED] * 3 + [8, 9, IGNORED]


def test_tags_of_several_tokens():
    batch = SetCollator(tag_length=2, pad_id=0)(ITEMS)
    filled = matched_sequences(batch, torch.zeros(2, 2, dtype=torch.long), torch.tensor([[90, 91]]))
    assert filled["input_ids"][0].tolist() == [1, 2, 90, 91, 5, 6, 7]
    assert filled["tag_labels"][0].tolist() == [IGNORED, IGNORED, 90, 91, IGNORED, IGNORED, IGNORED]


def test_texts_come_back_from_their_ids(encode, trace_sets):
    (encoded,) = encode(as_rows(trace_sets(1)))
    assert encoded["traces"][0][-1] == encode.tokenizer.eos_token_id
    assert encode.tokenizer.decode(encoded["traces"][0], skip_special_tokens=True) == trace_sets(1)[0].traces[0].text
    assert encoded["length"] == len(encoded["prompt"]) + 1 + max(map(len, encoded["traces"]))


def test_traces_may_be_plain_texts(encode, trace_sets):
    (one,) = trace_sets(1)
    texts = [trace.text for trace in one.traces]
    (encoded,) = encode([{"problem": one.problem, "traces": texts}])
    assert encoded["problem_id"] == "0"
    assert encoded["trace_ids"] == ["0/0", "0/1", "0/2", "0/3"]
    assert encoded["teachers"] == [""] * 4


def test_rows_may_differ_in_how_they_write_traces(encode):
    mixed = [
        {"problem": "2", "traces": ["a", {"text": "b", "teacher": 7}]},
        {"problem": "3", "problem_id": "z", "traces": [{"text": "c", "strategy": "s", "tokens": 3}]},
    ]
    alike = [
        {"problem": "2", "problem_id": "0", "traces": [{"text": "a"}, {"text": "b", "teacher": "7"}]},
        {"problem": "3", "problem_id": "z", "traces": [{"text": "c", "strategy": "s"}]},
    ]
    assert encode(mixed)[:] == encode(alike)[:]


def test_prefix_lengths_are_given_whole_or_found(encode, trace_sets):
    rows = as_rows(trace_sets(3))
    assert encode(rows, prefix_length=7)["prefix_length"] == [7, 7, 7]
    assert encode(rows, prefix_length=None)["prefix_length"] == [0, 0, 0]
    found = encode(rows, prefix_length="auto", auto_divergence=3, auto_cap=12)["prefix_length"]
    assert all(3 <= length <= 12 for length in found)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"problem": "2"}], "no column 'traces'"),
        ([{"problem": "2", "traces": []}], "problem 0: field 'traces' is empty"),
        ([], "there are no trace sets"),
        ([{"problem": "2", "traces": ["a"]}, {"problem": 3, "traces": ["a"]}], "problem 1: field 'problem' is int"),
        ([{"problem": "2", "traces": ["a"]}, {"problem": "3", "traces": "a"}], "problem 1: field 'traces' is str"),
        ([{"problem": "2", "traces": ["a"]}, ("3", ["a"])], "row 1 of the trace sets is tuple, expected a mapping"),
        ([{"problem": "2", "traces": ["a", ["b"]]}], "problem 0, trace 1: field 'text' is missing"),
        ([{"problem": "2", "traces": {"text": ["a"]}}], "problem 0: field 'traces' is dict, expected a list"),
        ([{"problem": "2", "traces": [{"teacher": "x"}]}], "problem 0, trace 0: field 'text' is missing"),
        ([{"problem_id": "p", "problem": "2", "traces": list("1234567")}], "problem p has 7 traces, expected"),
    ],
)  # fmt: skip
def test_rows_that_do_not_suit_are_named(encode, rows, message):
    with pytest.raises(InputError, match=message):
        encode(rows)


@pytest.mark.parametrize("token", [None, "<think>", "<think1>", "<|user|>", "16"])
def test_a_text_that_would_become_a_token_is_named(encode, token):
    """The end token, tags, the plain tag of another method, marks of turns, and any other end of the model."""
    token = token or encode.tokenizer.eos_token
    rows = [{"problem": "2 ^ 6 mod 17", "traces": ["13", f"4 {token} 13"]}]
    with pytest.raises(InputError, match=f"trace 0/1 of problem 0 holds {re.escape(repr(token))} in its text"):
        encode(rows, ends=frozenset(encode.tokenizer.convert_tokens_to_ids(["16"])))
    rows = [{"problem_id": "p", "problem": "2", "traces": [{"text": token, "trace_id": "a", "teacher": "x"}]}]
    with pytest.raises(InputError, match=r"trace a of problem p \(teacher x\) holds"):
        encode(rows, ends=frozenset(encode.tokenizer.convert_tokens_to_ids(["16"])))


def test_unknown_words_and_the_end_of_reasoning_are_no_such_tokens(encode):
    encode.tokenizer.add_special_tokens({"additional_special_tokens": ["</think>"]}, replace_extra_special_tokens=False)
    assert len(encode([{"problem": "2", "traces": ["4 never-seen </think> 13"]}])) == 1


def test_a_sequence_that_is_too_long_is_named(encode, trace_sets):
    with pytest.raises(InputError, match=r"trace t0-0 of problem p0 has \d+ tokens .* at most max_length, 12"):
        encode(as_rows(trace_sets(1)), max_length=12)


@pytest.mark.parametrize(
    "changes",
    [
        {"prefix_length": "long"},
        {"prefix_length": 0},
        {"rematch_every": 0},
        {"mode_field": "author"},
        {"assignment": "optmal"},
        {"tag_weight": -1.0},
        {"tag_weight": "much"},
        {"max_length": 0},
        {"prompt": "solve it"},
        {"remove_unused_columns": True},
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, changes):
    with pytest.raises(InputError, match=next(iter(changes))):
        SSFTConfig(output_dir=str(tmp_path), **changes)


def test_library_and_projects_have_the_same_defaults(tmp_path):
    config = SSFTConfig(output_dir=str(tmp_path))
    assert values_of(config, SSFTFields) == values_of(SupervisedSettings(), SSFTFields)


def test_ids_that_are_zero_are_ids(encode, trace_sets):
    (one,) = trace_sets(1)
    rows = [{"problem_id": i, "problem": one.problem, "traces": [one.traces[0].text]} for i in (1, 0)]
    encoded = encode(rows)
    assert [str(name) for name in encoded["problem_id"]] == ["1", "0"]
    assert encoded["trace_ids"] == [["1/0"], ["0/0"]]


class Prefixing:
    """A tokenizer of letters that begins every text with one more token, as some of SentencePiece's kind do."""

    chat_template = "given"
    eos_token_id = 1
    unk_token_id = None
    all_special_ids = (1,)
    added_tokens_decoder: ClassVar = {}

    def __call__(self, text, add_special_tokens):
        return {"input_ids": [0, *map(ord, text)]}

    def apply_chat_template(self, messages, tokenize, add_generation_prompt, tag):
        return messages[0]["content"] + tag


def test_a_tag_that_is_read_otherwise_behind_a_prompt_is_refused(tmp_path):
    tokenizer = Prefixing()
    tags = ForkingTags.encoded("special", 2, lambda text: tokenizer(text, False)["input_ids"])
    with pytest.raises(InputError, match="encodes a prompt with tag '<think1>' to other tokens"):
        encode_sets([{"problem": "2", "traces": ["3"]}], tokenizer, tags, SSFTConfig(output_dir=str(tmp_path)))
