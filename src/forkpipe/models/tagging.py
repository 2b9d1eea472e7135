"""Adds the forking tags to a model and its tokenizer."""

from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.forking import STYLES, ForkingTags, TagStyle, tag_texts
from forkpipe.core.responses import END_OF_REASONING, opening_at_end
from forkpipe.models.checkpoint import chat_template, check_begins_special, encoder, listed_ends, render_prompt
from forkpipe.models.tag_rows import set_rows
from forkpipe.parameters.training import TagRows

TAKES_TAG = "{% if tag is defined %}{{ tag }}{% endif %}"
"""End of a chat template that appends the argument `tag` to the generation prompt."""


def add_tags(model: Any, tokenizer: Any, n: int, style: TagStyle = "text", rows: TagRows = "words") -> ForkingTags:
    """Prepare a model and its tokenizer, in place, for n forking tags.

    Afterwards the chat template takes the tag as an argument, and there is a padding token. Style `special` adds n + 1
    tokens (one is the plain tag of SFT-mixed) and resizes the embeddings if they are too small; `text` adds no tokens.

    Args:
        model: a causal language model; its rows of tokens that the tokenizer knows already stay as they are.
        tokenizer: its tokenizer, with a chat template.
        n: N, the number of tags.
        style: see `core.forking`.
        rows: what the rows of added tokens begin as, see `TagSettings.rows`.

    Raises:
        InputError: the tokenizer has no chat template, or its ids for the tags are unsuitable (`ForkingTags.encoded`).
    """
    known = tokenizer.get_vocab()
    add_tag_tokens(tokenizer, n, style)
    tags = ForkingTags.encoded(style, n, encoder(tokenizer))
    check_begins_special(tags, tokenizer)
    texts = (*plain_tag(style, tokenizer).tags, *tags.tags) if tags.added_ids else ()
    added = {tokenizer.convert_tokens_to_ids(text): text for text in texts if text not in known}
    size = max([len(tokenizer), *(token + 1 for token in added)])  # ids may have gaps
    if size > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(size)
    if rows == "words":
        set_rows(model, tokenizer, added)
    return tags


def add_tag_tokens(tokenizer: Any, n: int, style: TagStyle) -> None:
    """Prepare only a tokenizer; see `add_tags`."""
    template = chat_template(tokenizer)
    if not template.endswith(TAKES_TAG):
        template = _without_opening(template, render_prompt(tokenizer, "2 + 2")) + TAKES_TAG
    several = tokenizer.chat_template if isinstance(tokenizer.chat_template, dict) else None
    tokenizer.chat_template = {**several, "default": template} if several else template
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if STYLES[style].adds_tokens:
        names = [*tag_texts(style, 1), *tag_texts(style, n)]
        tokenizer.add_special_tokens({"additional_special_tokens": names}, replace_extra_special_tokens=False)


def _without_opening(template: str, prompt: str) -> str:
    """Return a template whose prompts do not end in an opening mark of reasoning: the forking tag takes its place.

    Args:
        template: the chat template.
        prompt: a prompt that it makes.
    """
    opening = opening_at_end(prompt)
    if not opening:
        return template
    # The empty expressions keep Jinja from trimming line breaks next to the blocks.
    return (
        f"{{% set whole %}}{{{{ '' }}}}{template}{{{{ '' }}}}{{% endset %}}"
        f"{{{{ whole[:-{len(opening)}] if add_generation_prompt and whole.endswith({opening!r}) else whole }}}}"
    )


def check_in_context(content: str, tokenizer: Any, tags: ForkingTags) -> None:
    """Raise InputError if prompt and tag encoded together differ from the two encoded separately, as in training."""
    prompt = encoder(tokenizer)(render_prompt(tokenizer, content))
    for tag, ids in zip(tags.tags, tags.token_ids, strict=True):
        if encoder(tokenizer)(render_prompt(tokenizer, content, tag)) != [*prompt, *ids]:
            raise InputError(
                f"the tokenizer encodes a prompt with tag {tag!r} to other tokens than prompt and tag separately, "
                "expected the same: users of the model would prompt it with a tag that it has not seen"
            )


def reserved_ids(tokenizer: Any, tags: ForkingTags | None, ends: frozenset[int]) -> frozenset[int]:
    """Return the ids of tokens that no part of a trace may become: they end the text, pick a tag or open a turn.

    Args:
        tokenizer: its special tokens count, except the unknown token and the mark that ends reasoning in trace sets.
        tags: the model's tags; None where it has none yet.
        ends: end tokens of the model.
    """
    of_tags = () if tags is None else (*tags.added_ids, *tags.banned_ids)
    added = {token for token, content in tokenizer.added_tokens_decoder.items() if content.special}
    special = {*added, *tokenizer.all_special_ids} - {tokenizer.unk_token_id, *encoder(tokenizer)(END_OF_REASONING)}
    return frozenset({*special, *ends, *listed_ends(tokenizer), *of_tags})


def plain_tag(style: TagStyle, tokenizer: Any) -> ForkingTags:
    """Return the single tag of SFT-mixed, which `add_tags` has added to the tokenizer beside the N tags."""
    return ForkingTags.encoded(style, 1, encoder(tokenizer))
