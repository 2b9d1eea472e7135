"""The model that all methods start from: a small Llama from scratch or a pretrained model, with forking tags."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from forkpipe.core.data_files import data_text
from forkpipe.core.errors import InputError
from forkpipe.models.checkpoint import Checkpoint, save_checkpoint, without_progress_bars
from forkpipe.models.tagging import add_tag_tokens, add_tags
from forkpipe.parameters import ModelSettings, TagSettings

PAD, END, USER, ASSISTANT, UNKNOWN = "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|unknown|>"

CHAT_TEMPLATE = data_text(__file__, "chat_template.jinja")


def make_base_model(folder: Path, settings: ModelSettings, tags: TagSettings, texts: Iterable[str], seed: int) -> None:
    """Write the base checkpoint to `folder`.

    Args:
        texts: what the model will read and write; the vocabulary of a model from scratch is the words in them.
    """
    from transformers import set_seed

    set_seed(seed)
    if settings.source == "scratch":
        without_progress_bars()
        tokenizer = _word_tokenizer(texts, tags)
        model = _tiny_llama(settings, tokenizer)
    else:
        pretrained = Checkpoint(settings.source, settings.revision)
        try:
            tokenizer, model = pretrained.tokenizer, pretrained.load_model()
        except (OSError, ValueError) as error:
            raise InputError(f"model.source '{settings.source}' cannot be loaded: {error}") from error
    forking_tags = add_tags(model, tokenizer, tags.n, tags.style, tags.rows)
    save_checkpoint(
        folder,
        model,
        tokenizer,
        forking_tags,
        base=settings.source,
        revision=settings.revision if settings.source != "scratch" else f"seed {seed}",
    )


def _word_tokenizer(texts: Iterable[str], tags: TagSettings) -> Any:
    """Return a tokenizer that splits at spaces, so that every number is one token.

    The tags are added here, before the model is created: its embeddings then have rows for them, and need no resizing,
    which would draw new weights.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    specials = [PAD, END, USER, ASSISTANT, UNKNOWN]
    words = sorted({word for text in texts for word in text.split()})
    vocabulary = {word: index for index, word in enumerate([*specials, *words])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token=PAD, eos_token=END, unk_token=UNKNOWN, padding_side="left"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": [USER, ASSISTANT]}, replace_extra_special_tokens=False)
    tokenizer.chat_template = CHAT_TEMPLATE
    add_tag_tokens(tokenizer, tags.n, tags.style)
    return tokenizer


def _tiny_llama(settings: ModelSettings, tokenizer: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        tie_word_embeddings=False,
        **settings.architecture.model_dump(),
    )
    return LlamaForCausalLM(config)
