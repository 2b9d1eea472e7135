"""Which pretrained models can be trained with forking tags: checked by their configuration and tokenizer alone."""

import json
from pathlib import Path
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.core.hub import source_of
from forkpipe.models.checkpoint import Checkpoint, check_begins_special, encoder
from forkpipe.models.positions import check_positions
from forkpipe.models.tagging import add_tag_tokens, check_in_context
from forkpipe.parameters import ModelSettings, TagSettings
from forkpipe.parameters.training import SCRATCH


def check_student(settings: ModelSettings, tags: TagSettings, max_length: int | None = None) -> None:
    """Raise InputError for a model that could not be trained, before teachers are paid for what it would learn.

    A model on a hub that cannot be reached is not checked: the node that loads it says so.

    Args:
        max_length: longest sequence that the training allows, if it says so.
    """
    where = f"parameter model.source is '{settings.source}'"
    config = _config(settings, where)
    if config is None:
        return
    _check_kind(config, tags, where)
    if max_length is not None:
        check_positions(max_length, config, "parameter supervised.max_length")
    try:
        tokenizer = Checkpoint(settings.source, settings.revision).tokenizer
    except OSError:
        return
    except ValueError as error:
        raise InputError(f"{where}, whose tokenizer cannot be loaded: {error}") from error
    if tokenizer.eos_token_id is None:
        raise InputError(f"{where}, whose tokenizer has no end token, expected one (eos_token): traces end in it")
    add_tag_tokens(tokenizer, tags.n, tags.style)
    forking_tags = ForkingTags.encoded(tags.style, tags.n, encoder(tokenizer))
    check_begins_special(forking_tags, tokenizer)
    check_in_context("2 + 2", tokenizer, forking_tags)


def check_bf16() -> None:
    """Raise InputError if there is a GPU that cannot compute in bfloat16; a CPU always can."""
    import torch

    if torch.cuda.is_available() and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise InputError(f"bf16 is true and {torch.cuda.get_device_name()} cannot compute in bfloat16, expected false")


def ties_embeddings(settings: ModelSettings) -> bool:
    """Whether a model's output matrix is known to be its input matrix."""
    if settings.source == SCRATCH:
        return False
    config = _config(settings, f"parameter model.source is '{settings.source}'")
    return config is not None and bool(getattr(config.get_text_config(), "tie_word_embeddings", False))


def configuration(settings: ModelSettings) -> dict[str, Any] | None:
    """Return the config.json of a pretrained model, without loading transformers; None if it cannot be read, and for a
    model from scratch."""
    if settings.source == SCRATCH:
        return None
    path = Path(settings.source, "config.json")
    try:
        if not path.exists():
            from huggingface_hub import hf_hub_download

            path = Path(
                hf_hub_download(settings.source, "config.json", **source_of(settings.source, settings.revision))
            )
        read: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):  # no such model, or no hub: the node that loads it says so
        return None
    return read


def _config(settings: ModelSettings, where: str) -> Any:
    """Return the model's configuration, None if its hub cannot be reached."""
    checkpoint = Checkpoint(settings.source, settings.revision)
    try:
        return checkpoint.config
    except (OSError, ValueError) as error:  # ValueError: an unknown kind, or one that needs code of the repository
        if isinstance(error, OSError) and not checkpoint.folder.exists():
            return None
        raise InputError(f"{where}, which transformers cannot load: {error}") from error


def _check_kind(config: Any, tags: TagSettings, where: str) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind = config.model_type
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or getattr(config, "is_encoder_decoder", False):
        raise InputError(f"{where}, of type '{kind}', expected a causal language model")
    quantized = getattr(config, "quantization_config", None)
    if quantized:
        method = quantized.get("quant_method") if isinstance(quantized, dict) else quantized.quant_method
        raise InputError(
            f"{where}, whose weights are quantized ({method}), expected weights in float32 or bfloat16: "
            "they are trained and saved in full precision"
        )
    if tags.adds_tokens and getattr(config.get_text_config(), "hidden_size_per_layer_input", None):
        raise InputError(
            f"{where}, of type '{kind}', which has embeddings in every layer and cannot take added tokens: "
            "expected another model"
        )
