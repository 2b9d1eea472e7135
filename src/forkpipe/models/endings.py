"""Which tokens end a text, where a model is run elsewhere and only its files are here."""

from typing import Any


def end_token_ids(model: str, revision: str, tokenizer: Any) -> frozenset[int]:
    """Return the ids that end a text: those of the tokenizer, and those of the model's own settings.

    Args:
        model: its folder or hub name.
        revision: on the hub.
        tokenizer: of transformers.
    """
    from transformers import AutoConfig, GenerationConfig

    try:
        settings: Any = GenerationConfig.from_pretrained(model, revision=revision)
    except OSError:  # not every model has one
        settings = AutoConfig.from_pretrained(model, revision=revision)
    own = getattr(settings, "eos_token_id", None)
    listed = own if isinstance(own, list) else [own]
    return frozenset(token for token in (tokenizer.eos_token_id, tokenizer.pad_token_id, *listed) if token is not None)
