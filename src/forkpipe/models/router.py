"""A router: a low-rank adapter of the SSFT model that picks the tag, while the model itself completes.

Why this form: the choice may use all layers, so it can differ from problem to problem where the output rows alone
cannot; the completions are those of the SSFT model to the bit, so rewards that were tabulated once stay valid; and it
is one folder, the model with `router/` in it, that peft reads, and any server that takes adapters by request. It suits
text tags and tied embeddings too.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forkpipe.core.forking import ForkingTags
from forkpipe.core.losses import tag_log_probs
from forkpipe.models.adapters import lora_config
from forkpipe.models.checkpoint import ROUTER_FOLDER
from forkpipe.models.padding import left_padded
from forkpipe.models.scopes import output_name
from forkpipe.parameters import LoraSettings


def router_adapter(model: Any, tags: ForkingTags, settings: LoraSettings) -> Any:
    """Return the peft configuration of a router: low-rank layers, and the output rows of the tags' deciding tokens.

    Without the rows the choice stays blunt: the norm before the output matrix fixes the length of the last state, and
    so how far apart the tags' logits can be. Where embeddings are tied the rows stay as they are: they would be
    those of the prompt too.
    """
    config = lora_config(settings)
    tied = model.config.tie_word_embeddings
    config.trainable_token_indices = {} if tied else {output_name(model): list(tags.deciding_ids)}
    return config


def save_router(model: Any, folder: Path) -> None:
    """Write the router of a model into the checkpoint `folder`.

    Without the path at which the model was when it was trained: later seeds follow from the hash of these files, and
    would differ from folder to folder.
    """
    for config in model.peft_config.values():
        config.base_model_name_or_path = None  # peft takes the model's own, and looks there
    model.save_pretrained(folder / ROUTER_FOLDER)
    path = folder / ROUTER_FOLDER / "adapter_config.json"
    held = json.loads(path.read_text())
    held["base_model_name_or_path"] = ".."
    if isinstance(held["target_modules"], list):
        held["target_modules"].sort()
    path.write_text(json.dumps(held, indent=2, sort_keys=True))
    (folder / ROUTER_FOLDER / "README.md").unlink(missing_ok=True)


def router_log_probs(model: Any, prompts: Sequence[Sequence[int]], tags: ForkingTags, pad_id: int) -> Any:
    """Return log p(g_i | x) by the router, (B, N), for prompts as token ids."""
    import torch

    ids, mask, positions = left_padded([[*prompt, *tags.opening] for prompt in prompts], pad_id, model.device)
    logits = model(input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=1, use_cache=False).logits
    return tag_log_probs(logits[:, -1], torch.tensor(tags.deciding_ids, device=logits.device))
