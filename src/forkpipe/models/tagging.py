"""Teaching a model and its tokenizer the forking tags."""

from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.forking import STYLES, ForkingTags, TagStyle, tag_texts
from forkpipe.models.checkpoint import encoder

TAKES_TAG = "{% if tag is defined %}{{ tag }}{% endif %}"
"""End of a chat template that puts the argument `tag` behind the generation prompt."""


def add_tags(model: Any, tokenizer: Any, n: int, style: TagStyle = "text") -> ForkingTags:
    """Prepare a model and its tokenizer, in place, for n forking tags.

    The chat template takes the tag as an argument from then on, and there is a padding token. Style `special` adds
    n + 1 tokens (one is SFT-mixed's plain tag) and grows the embeddings where they have no room; `text` adds nothing.

    Raises:
        InputError: the tokenizer has no chat template, or encodes the tags of style `text` to ids that do not suit.
    """
    add_tag_tokens(tokenizer, n, style)
    tags = ForkingTags.encoded(style, n, encoder(tokenizer))
    if not tokenizer.added_tokens_decoder.keys() >= set(tags.banned_ids):
        raise InputError(
            f"tags.style is '{style}' and the tokenizer begins {tags.tags[0]!r} with an ordinary token, expected a "
            "special one as in Qwen's: banning that token keeps tags out of traces. Use tags.style 'special'"
        )
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer))
    return tags


def add_tag_tokens(tokenizer: Any, n: int, style: TagStyle) -> None:
    """Prepare a tokenizer alone; see `add_tags`."""
    if tokenizer.chat_template is None:
        raise InputError(
            f"model {tokenizer.name_or_path} has no chat template, expected one: put it into its tokenizer"
        )
    if not tokenizer.chat_template.endswith(TAKES_TAG):
        tokenizer.chat_template += TAKES_TAG
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if STYLES[style].adds_tokens:
        names = [*tag_texts(style, 1), *tag_texts(style, n)]
        tokenizer.add_special_tokens({"additional_special_tokens": names}, replace_extra_special_tokens=False)


def plain_tag(style: TagStyle, tokenizer: Any) -> ForkingTags:
    """Return the single tag of SFT-mixed; a tokenizer that has been given tags knows it beside the N others."""
    return ForkingTags.encoded(style, 1, encoder(tokenizer))
