"""A router: a low-rank adapter of the SSFT model that chooses the tag; the model without it writes the text.

The choice uses all layers, so it can depend on the problem in ways that output rows alone cannot express. The text is
bit for bit the text of the SSFT model, so rewards that were tabulated once stay valid. The model and its router are one
folder, which peft reads, and so does any server that takes an adapter per request. Routers work with text tags and tied
embeddings too.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forkpipe.core.forking import ForkingTags
from forkpipe.core.losses import tag_log_probs
from forkpipe.models.adapters import lora_config
from forkpipe.models.identity import ROUTER_FOLDER
from forkpipe.models.padding import left_padded
from forkpipe.models.scopes import output_name
from forkpipe.parameters import LoraSettings


def router_adapter(model: Any, tags: ForkingTags, settings: LoraSettings) -> Any:
    """Return the peft configuration of a router: low-rank layers, and the output rows of the tags' deciding tokens.

    Without the rows the policy cannot become sharp: the norm before the output matrix fixes the length of the last
    state, and thereby how far apart the tags' logits can be. With tied embeddings the rows are not trained, as they
    also embed the prompt's tokens.
    """
    config = lora_config(settings)
    tied = model.config.tie_word_embeddings
    config.trainable_token_indices = {} if tied else {output_name(model): list(tags.deciding_ids)}
    return config


def save_router(model: Any, folder: Path) -> None:
    """Write the router of a model into the checkpoint `folder`.

    The path of the trained model is removed from the files: later seeds follow from their hash and must not depend on
    the folder.
    """
    for config in model.peft_config.values():
        config.base_model_name_or_path = None  # peft would look at this path while it saves
    model.save_pretrained(folder / ROUTER_FOLDER)
    path = folder / ROUTER_FOLDER / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = ".."
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True))
    (folder / ROUTER_FOLDER / "README.md").unlink(missing_ok=True)


def router_log_probs(model: Any, prompts: Sequence[Sequence[int]], tags: ForkingTags, pad_id: int) -> Any:
    """Return the router's log p(g_i | x), (B, N), for prompts given as token ids."""
    import torch

    ids, mask, positions = left_padded([[*prompt, *tags.opening] for prompt in prompts], pad_id, model.device)
    logits = model(input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=1, use_cache=False).logits
    return tag_log_probs(logits[:, -1], torch.tensor(tags.deciding_ids, device=logits.device))
