"""How the model that will be trained reads a text: its tokens, and what a trace must not hold."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from forkpipe.core.errors import InputError
from forkpipe.core.ids import content_hash
from forkpipe.models.base_model import ASSISTANT, END, PAD, USER
from forkpipe.models.checkpoint import Checkpoint
from forkpipe.models.tagging import reserved_ids
from forkpipe.parameters import ModelSettings

_TAG = re.compile(r"<think\d+>")


class Student(NamedTuple):
    """Two functions of a text: its number of tokens, and what in it would become a special token ("" if nothing)."""

    count: Callable[[str], int]
    reserved: Callable[[str], str]


def count_words(text: str) -> int:
    """Return the number of words, which are the tokens of a model from scratch."""
    return len(text.split())


def reserved_word(text: str) -> str:
    """Return the first special token of a model from scratch that a text holds, or a forking tag; "" if none.

    >>> reserved_word("2 + 2 <|end|>"), reserved_word("<think2> 2 + 2"), reserved_word("2 + 2")
    ('<|end|>', '<think2>', '')
    """
    return next((token for token in (PAD, END, USER, ASSISTANT) if token in text), _tag_in(text))


def _tag_in(text: str) -> str:
    tag = _TAG.search(text)
    return "" if tag is None else tag[0]


def student_of(settings: ModelSettings) -> Student:
    """Return how the model of the settings reads texts; a pretrained model's tokenizer is loaded with the first text.

    The functions raise InputError if there is no tokenizer that can be loaded.
    """
    if settings.source == "scratch":
        return Student(count_words, reserved_word)
    checkpoint = Checkpoint(settings.source, settings.revision)

    @lru_cache(maxsize=1)
    def special() -> frozenset[int]:
        try:
            return reserved_ids(checkpoint.tokenizer, None, checkpoint.end_ids)
        except (OSError, ValueError) as error:
            raise InputError(
                f"model.source '{settings.source}' has no tokenizer that can be loaded: {error}"
            ) from error

    known: dict[str, tuple[int, str]] = {}

    def read(text: str) -> tuple[int, str]:
        """Return both, which are kept by the text's hash: each selection of trace sets asks again."""
        key = content_hash(text)
        if key not in known:
            reserved, ids = special(), checkpoint.encode(text)
            first = next((token for token in ids if token in reserved), None)
            known[key] = len(ids), _tag_in(text) if first is None else str(checkpoint.tokenizer.decode([first]))
        return known[key]

    return Student(lambda text: read(text)[0], lambda text: read(text)[1])
