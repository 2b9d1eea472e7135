"""Forking tags: both styles, refusals, the file."""

from typing import get_args

import pytest

from forkpipe.core.errors import InputError
from forkpipe.core.forking import STYLES, ForkingTags, TagStyle, tag_texts

WORDS = {f"<think{i}>": 10 + i for i in range(1, 7)} | {"<think>": 9}
QWEN = {"<|im_start|>": [151644], "<th": [13708], "ink": [766], ">\n": [397]} | {str(i): [15 + i] for i in range(10)}


def by_word(text):
    return [WORDS[text]]


def as_qwen(text):
    """The paper's tag in Qwen2.5's merges: five tokens of which the fourth, the digit, differs."""
    ids = []
    while text:
        piece = next(piece for piece in QWEN if text.startswith(piece))
        ids += QWEN[piece]
        text = text[len(piece) :]
    return ids


def test_special_tags_decide_at_their_only_position():
    tags = ForkingTags.encoded("special", 6, by_word)
    assert tags.token_ids == ((11,), (12,), (13,), (14,), (15,), (16,))
    assert tags.deciding_positions == (0,)


def test_text_tags_decide_at_the_digit():
    tags = ForkingTags.encoded("text", 3, as_qwen)
    assert tags.token_ids[1] == (151644, 13708, 766, 17, 397)
    assert tags.deciding_positions == (3,)
    assert tags.index_of([151644, 13708, 766, 18, 397, 5]) == 2
    assert tags.index_of([1, 2, 3, 4, 5]) is None


def test_a_plain_tag_decides_nothing():
    assert ForkingTags.encoded("special", 1, by_word).deciding_positions == ()
    assert tag_texts("text", 1) == ("<|im_start|>think\n",)


def test_a_tokenizer_that_does_not_tell_tags_apart_is_refused():
    with pytest.raises(InputError, match=r"tags\.style 'special'"):
        ForkingTags.encoded("special", 2, lambda text: [0])
    with pytest.raises(InputError, match="one length"):
        ForkingTags.encoded("special", 2, lambda text: [1] if "1" in text else [2, 3])


def test_file_round_trip_and_a_changed_tokenizer():
    tags = ForkingTags.encoded("special", 6, by_word)
    again = ForkingTags.from_json(tags.to_json(base_model="base", base_revision="r"), "here")
    assert again == tags
    again.check(by_word, "here")
    with pytest.raises(InputError, match="here: the tokenizer encodes tag '<think1>' as"):
        again.check(lambda text: [99], "here")


def test_another_version_is_refused():
    with pytest.raises(InputError, match="version 7"):
        ForkingTags.from_json('{"version": 7}', "here")


def test_every_style_is_written_down():
    assert set(STYLES) == set(get_args(TagStyle))


def test_text_tags_open_alike_and_are_banned_by_their_first_token():
    tags = ForkingTags.encoded("text", 3, as_qwen)
    assert tags.opening == (151644, 13708, 766)
    assert tags.deciding_ids == (16, 17, 18)
    assert tags.banned_ids == [151644]
    assert tags.added_ids == []


def test_special_tags_are_tokens_of_their_own():
    tags = ForkingTags.encoded("special", 2, by_word)
    assert tags.opening == ()
    assert tags.deciding_ids == (11, 12)
    assert tags.banned_ids == tags.added_ids == [11, 12]


def test_a_plain_tag_is_drawn_at_its_last_token():
    assert ForkingTags.encoded("text", 1, lambda text: [5, 6, 7]).deciding_ids == (7,)


def test_tags_that_differ_at_several_tokens_have_no_deciding_position():
    tags = ForkingTags.encoded("text", 2, lambda text: [1, 2] if "1" in text else [3, 4])
    with pytest.raises(InputError, match="differ at 2 positions"):
        _ = tags.deciding_ids
