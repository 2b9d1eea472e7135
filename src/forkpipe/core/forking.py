"""Forking tags: the N global forking tokens g_1..g_N of the paper, in two styles.

`special` adds one token per tag (`<think1>`). `text` writes the paper's tag with existing tokens
(`<|im_start|><think1>` and a newline: in Qwen2.5's vocabulary five tokens, of which only the digit differs), so that no
embedding is added and any server can run the checkpoint. The style and the ids that the tokenizer gives are written to
`forking.json` beside the weights, and checked when the checkpoint is loaded.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from forkpipe.core.errors import InputError

FORMAT_VERSION = 1

TagStyle = Literal["special", "text"]


class Style(NamedTuple):
    """How the tags of one style are written.

    Attributes:
        plain: text of a single tag.
        numbered: text of tag `{}` of several.
        adds_tokens: whether each tag is one token that is added to the vocabulary.
    """

    plain: str
    numbered: str
    adds_tokens: bool


STYLES: dict[TagStyle, Style] = {
    "special": Style("<think>", "<think{}>", adds_tokens=True),
    "text": Style("<|im_start|>think\n", "<|im_start|><think{}>\n", adds_tokens=False),
}

Encode = Callable[[str], list[int]]
"""A function from text to token ids that adds no special tokens."""


def tag_texts(style: TagStyle, n: int) -> tuple[str, ...]:
    """Return the texts of n tags, numbered from 1 as in the paper; a single tag is the plain one.

    >>> tag_texts("special", 2)
    ('<think1>', '<think2>')
    >>> tag_texts("special", 1)
    ('<think>',)
    """
    plain, numbered, _ = STYLES[style]
    return (plain,) if n == 1 else tuple(numbered.format(i) for i in range(1, n + 1))


NO_TAGS = "none"
"""What is given in place of tags for a model that is to be asked without any."""


def parse_tags(text: str, where: str = "tags") -> tuple[TagStyle, int] | None:
    """Read STYLE:N, tags that a model has without a forking.json, or "none"; InputError names `where`.

    >>> parse_tags("text:6"), parse_tags("none")
    (('text', 6), None)
    """
    name, _, number = text.partition(":")
    if text == NO_TAGS:
        return None
    for style in STYLES:
        if name == style and number.isascii() and number.isdigit() and int(number) >= 1:
            return style, int(number)
    raise InputError(f"{where} is '{text}', expected none or STYLE:N with style {' or '.join(STYLES)}, such as text:6")


@dataclass(frozen=True, slots=True)
class ForkingTags:
    """N tags and the ids that a tokenizer gives them.

    Attributes:
        style: see the module.
        tags: N texts.
        token_ids: N tuples of ids, all of the same length.
        deciding_positions: offsets, within a tag, at which the tags differ; empty for a single tag.
    """

    style: TagStyle
    tags: tuple[str, ...]
    token_ids: tuple[tuple[int, ...], ...]
    deciding_positions: tuple[int, ...]

    @classmethod
    def encoded(cls, style: TagStyle, n: int, encode: Encode) -> "ForkingTags":
        """Encode n tags; InputError if their ids are not distinct or differ in length."""
        tags = tag_texts(style, n)
        token_ids = tuple(tuple(encode(tag)) for tag in tags)
        if len(set(map(len, token_ids))) != 1 or len(set(token_ids)) != n:
            raise InputError(
                f"tags.style '{style}' does not suit this tokenizer: it gives {list(map(list, token_ids))} for "
                f"{list(tags)}, expected distinct ids of one length"
            )
        positions = tuple(p for p, column in enumerate(zip(*token_ids, strict=True)) if len(set(column)) > 1)
        return cls(style, tags, token_ids, positions)

    @property
    def n(self) -> int:
        """Number of tags."""
        return len(self.tags)

    @property
    def length(self) -> int:
        """Number of tokens in a tag."""
        return len(self.token_ids[0])

    @property
    def deciding_position(self) -> int:
        """Offset of the one token at which the tags differ; of the last token for a single tag.

        A policy over tags is a policy over this token. InputError where tags differ at several tokens.
        """
        if len(self.deciding_positions) > 1:
            raise InputError(f"tags differ at {len(self.deciding_positions)} positions, expected one to decide at")
        return self.deciding_positions[0] if self.deciding_positions else self.length - 1

    @property
    def opening(self) -> tuple[int, ...]:
        """Token ids that all tags begin with: those before the deciding position."""
        return self.token_ids[0][: self.deciding_position]

    @property
    def deciding_ids(self) -> tuple[int, ...]:
        """The id of each tag's deciding token, (N,)."""
        return tuple(ids[self.deciding_position] for ids in self.token_ids)

    @property
    def banned_ids(self) -> list[int]:
        """Ids that engines keep out of the text after a tag: the first token of every tag, in ascending order.

        Traces were never trained to hold a tag. The first token is enough: it occurs in no other text, whereas the
        rest of a text tag is made of ordinary tokens (its digit is used everywhere).
        """
        return sorted({ids[0] for ids in self.token_ids})

    @property
    def added_ids(self) -> list[int]:
        """Ids of the tokens that were added to the vocabulary for the tags, in ascending order; may be empty."""
        return sorted({token for ids in self.token_ids for token in ids}) if STYLES[self.style].adds_tokens else []

    def check(self, encode: Encode, where: str) -> None:
        """Raise InputError if a tokenizer encodes a tag differently from what is recorded."""
        for tag, ids in zip(self.tags, self.token_ids, strict=True):
            encoded = tuple(encode(tag))
            if encoded != ids:
                raise InputError(
                    f"{where}: the tokenizer encodes tag {tag!r} as {list(encoded)}, "
                    f"expected {list(ids)} as in forking.json"
                )

    def index_of(self, ids: Sequence[int]) -> int | None:
        """Return the index of the tag that `ids` begins with, None where it begins with none."""
        start = tuple(ids[: self.length])
        return self.token_ids.index(start) if start in self.token_ids else None

    def to_json(self, *, base_model: str, base_revision: str) -> str:
        """Return the text of forking.json."""
        origin = {"base_model": base_model, "base_revision": base_revision}
        return json.dumps({"version": FORMAT_VERSION, **asdict(self), **origin}, indent=2)

    @classmethod
    def from_json(cls, text: str, where: str) -> "ForkingTags":
        """Read forking.json; InputError that names `where` if it has another version."""
        data: dict[str, Any] = json.loads(text)
        if data.get("version") != FORMAT_VERSION:
            raise InputError(f"{where}: forking.json has version {data.get('version')}, expected {FORMAT_VERSION}")
        token_ids = tuple(tuple(ids) for ids in data["token_ids"])
        return cls(data["style"], tuple(data["tags"]), token_ids, tuple(data["deciding_positions"]))
