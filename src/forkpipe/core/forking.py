"""Forking tags: the N global forking tokens g_1..g_N of the paper, in two styles.

`special` adds one token a tag (`<think1>`). `text` writes the paper's tag with tokens that exist already
(`<|im_start|><think1>` and a newline: in Qwen2.5's vocabulary five tokens of which only the digit differs), so that no
embedding is added and any server runs the checkpoint. Which one a checkpoint uses, and the ids its tokenizer gives, is
written to `forking.json` beside the weights and checked when it is loaded.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from forkpipe.core.errors import InputError

FORMAT_VERSION = 1
"""Version of forking.json."""

TagStyle = Literal["special", "text"]
Encode = Callable[[str], list[int]]
"""Text to token ids, no special tokens added."""


def tag_texts(style: TagStyle, n: int) -> tuple[str, ...]:
    """Return the texts of n tags, numbered from 1 as in the paper; a single tag is the plain one.

    >>> tag_texts("special", 2)
    ('<think1>', '<think2>')
    >>> tag_texts("special", 1)
    ('<think>',)
    """
    if style == "special":
        return ("<think>",) if n == 1 else tuple(f"<think{i}>" for i in range(1, n + 1))
    if n == 1:
        return ("<|im_start|>think\n",)
    return tuple(f"<|im_start|><think{i}>\n" for i in range(1, n + 1))


@dataclass(frozen=True, slots=True)
class ForkingTags:
    """N tags with the ids one tokenizer gives them.

    Attributes:
        style: see the module.
        tags: N texts.
        token_ids: N tuples of ids, all of one length.
        deciding_positions: offsets, within a tag, at which the tags differ; empty for a single tag. A policy over
            tags is a policy over these positions.
    """

    style: TagStyle
    tags: tuple[str, ...]
    token_ids: tuple[tuple[int, ...], ...]
    deciding_positions: tuple[int, ...]

    @classmethod
    def encoded(cls, style: TagStyle, n: int, encode: Encode) -> "ForkingTags":
        """Encode n tags; InputError if their ids are not distinct or not of one length."""
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
        """Tokens a tag."""
        return len(self.token_ids[0])

    def check(self, encode: Encode, where: str) -> None:
        """Raise InputError where a tokenizer encodes a tag differently from what is recorded."""
        for tag, ids in zip(self.tags, self.token_ids, strict=True):
            found = tuple(encode(tag))
            if found != ids:
                raise InputError(
                    f"{where}: the tokenizer encodes tag {tag!r} as {list(found)}, "
                    f"expected {list(ids)} as in forking.json"
                )

    def index_of(self, ids: Sequence[int]) -> int | None:
        """Return which tag stands at the start of `ids`, None where none does."""
        start = tuple(ids[: self.length])
        return self.token_ids.index(start) if start in self.token_ids else None

    def to_json(self, *, base_model: str, base_revision: str) -> str:
        """Return the text of forking.json."""
        return json.dumps(
            {
                "version": FORMAT_VERSION,
                "style": self.style,
                "tags": list(self.tags),
                "token_ids": [list(ids) for ids in self.token_ids],
                "deciding_positions": list(self.deciding_positions),
                "base_model": base_model,
                "base_revision": base_revision,
            },
            indent=2,
        )

    @classmethod
    def from_json(cls, text: str, where: str) -> "ForkingTags":
        """Read forking.json; InputError naming `where` if it is of another version or incomplete."""
        data: dict[str, Any] = json.loads(text)
        if data.get("version") != FORMAT_VERSION:
            raise InputError(f"{where}: forking.json has version {data.get('version')}, expected {FORMAT_VERSION}")
        return cls(
            data["style"],
            tuple(data["tags"]),
            tuple(tuple(ids) for ids in data["token_ids"]),
            tuple(data["deciding_positions"]),
        )
