"""Encoding and batching: what stands where."""

import pytest
import torch

from forkpipe.core.errors import InputError
from forkpipe.training.checkpoint import load_checkpoint
from forkpipe.training.sequences import IGNORED, EncodedSet, SetCollator, encode_sets, tag_positions, with_tags

ITEMS = [
    EncodedSet(0, "p", ("a", "b"), ("x", "y"), (1, 2), ((5, 6, 7), (8, 9))),
    EncodedSet(1, "q", ("c",), ("x",), (3,), ((4, 4, 4, 4),)),
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
    assert tag_positions(batch, 1).nonzero().tolist() == [[0, 0, 2], [0, 1, 2], [1, 0, 1]]


def test_tags_go_into_their_place():
    batch = SetCollator(tag_length=1, pad_id=0)(ITEMS)
    filled = with_tags(
        batch["input_ids"], batch["prompt_lengths"], torch.tensor([[1, 0], [2, 0]]), torch.tensor([[90], [91], [92]])
    )
    assert filled[0, :, 2].tolist() == [91, 90]
    assert filled[1, 0].tolist() == [3, 92, 4, 4, 4, 4]


def test_tags_of_several_tokens():
    batch = SetCollator(tag_length=2, pad_id=0)(ITEMS)
    filled = with_tags(
        batch["input_ids"], batch["prompt_lengths"], torch.zeros(2, 2, dtype=torch.long), torch.tensor([[90, 91]])
    )
    assert filled[0, 0].tolist() == [1, 2, 90, 91, 5, 6, 7]


def test_texts_come_back_from_their_ids(base, trace_sets):
    _, tokenizer, tags = load_checkpoint(base)
    (encoded,) = encode_sets(trace_sets(1), tokenizer, "{problem}", tag_length=tags.length, max_length=64)
    assert encoded.traces[0][-1] == tokenizer.eos_token_id
    assert tokenizer.decode(encoded.traces[0], skip_special_tokens=True) == trace_sets(1)[0].traces[0].text


def test_a_sequence_that_is_too_long_is_named(base, trace_sets):
    _, tokenizer, _ = load_checkpoint(base)
    with pytest.raises(
        InputError, match=r"trace t0-0 of problem p0 has \d+ tokens .* at most supervised.max_length, 12"
    ):
        encode_sets(trace_sets(1), tokenizer, "{problem}", tag_length=1, max_length=12)
