"""Loads a model that processes will hold together, and writes the model that they have trained."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from forkpipe.core.forking import ForkingTags
from forkpipe.models.adapters import merged
from forkpipe.models.checkpoint import Checkpoint
from forkpipe.training.sharding import is_sharded, whole_weights

ADAPTER = "adapter"
"""Folder within a trainer's folder for an adapter until it is merged."""


def load_to_shard(checkpoint: Checkpoint, dtype: str = "float32") -> Any:
    """Return the model of a checkpoint, whose weights only the first process of all reads.

    The others get them when the model is sharded, with `cpu_ram_efficient_loading` in `fsdp_config`. So the machine's
    memory holds the model once; until then the weights of the others are memory that nobody has touched.
    """
    if int(os.environ.get("RANK", "0")) == 0:
        return checkpoint.load_model(dtype)
    import torch
    from accelerate import init_empty_weights
    from transformers import AutoModelForCausalLM, GenerationConfig

    with init_empty_weights(include_buffers=False):
        model = AutoModelForCausalLM.from_config(checkpoint.config, dtype=getattr(torch, dtype))
    # Not on the device "meta": accelerate tells the weights in the optimizer by their addresses.
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            setattr(module, name, torch.nn.Parameter(torch.empty_like(weight, device="cpu")))
    model.tie_weights()
    model.config.name_or_path = str(checkpoint.name)
    with suppress(OSError):  # not every model has one
        model.generation_config = GenerationConfig.from_pretrained(checkpoint.name)
    return model


def save_trained(trainer: Any, parent: Checkpoint, folder: Path, seed: int, tags: ForkingTags) -> None:
    """Write the model that a trainer has trained from a checkpoint, with its adapter merged, to `folder`.

    All processes call it; the first one writes. If it does not hold the base model in float32, it saves the adapter and
    merges it into the base model from disk: peft cannot merge rows of tags over shards, and in bfloat16 a merge would
    round off what was learned.
    """
    accelerator, adapted = trainer.accelerator, hasattr(trainer.model, "peft_config")
    sharded = is_sharded(trainer.model)
    if adapted and (sharded or not _is_float32(trainer.model)):
        beside = Path(trainer.args.output_dir) / ADAPTER
        trainer.save_model(str(beside))
        if accelerator.is_main_process:
            from peft import PeftModel

            whole = PeftModel.from_pretrained(parent.load_model(), beside)
            parent.save_successor(folder, merged(whole), seed, tags)
            shutil.rmtree(beside)
    else:
        weights = whole_weights(trainer.model) if sharded else None
        if accelerator.is_main_process:
            parent.save_successor(folder, merged(trainer.model), seed, tags, weights)
    accelerator.wait_for_everyone()


def _is_float32(model: Any) -> bool:
    import torch

    return all(weight.dtype == torch.float32 for weight in model.parameters())
