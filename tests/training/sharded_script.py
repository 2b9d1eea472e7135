"""Trains in this process, or in the processes that torchrun starts, which hold the model together.

Arguments: the base checkpoint, a file of trace sets and rewards, a folder to write to.
"""

import faulthandler
import json
import os
import sys
from pathlib import Path

import torch
from fsdp_on_cpu import forget_sharding, shard_on_cpu
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback

from forkpipe import GFPOConfig, GFPOTrainer, SSFTConfig, SSFTTrainer, load_checkpoint
from forkpipe.models.adapters import lora_config
from forkpipe.models.checkpoint import Checkpoint
from forkpipe.parameters import LoraSettings
from forkpipe.training import sharding
from forkpipe.training.batch_costs import batch_costs
from forkpipe.training.costs import CostSettings
from forkpipe.training.precision import Measurement
from forkpipe.training.whole_models import load_to_shard, save_trained

if __name__ == "__main__":  # pytest imports it too
    torch.set_num_threads(1)
    BASE, DATA, OUT = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()), Path(sys.argv[3])
WORLD, RANK = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
SHARDED = (
    {"fsdp": True, "fsdp_config": {"state_dict_type": "SHARDED_STATE_DICT", "cpu_ram_efficient_loading": True}}
    if WORLD > 1
    else {}
)
result = {}


def arguments(name, **changes):
    forget_sharding()
    settings = {
        "output_dir": str(OUT / name), "max_steps": 5, "learning_rate": 4e-3, "logging_steps": 1, "save_strategy": "no",
        "report_to": [], "use_cpu": True, "disable_tqdm": True, "dataloader_pin_memory": False, "seed": 0, **SHARDED,
    }  # fmt: skip
    return settings | changes


def ssft(name, callbacks=(), dtype="float32", loaded=None, peft_config=None, **changes):
    """Problems of 1 to 4 traces in passes of 60 tokens: processes have unequal numbers of passes of both kinds. The
    last batch of an epoch of 9 problems holds one of them."""
    _, tokenizer, tags = load_checkpoint(BASE)
    passes = {"prefix_length": 8, "matching_tokens": 200, "pass_tokens": 60}
    sizes = {"per_device_train_batch_size": 4 // WORLD, "gradient_accumulation_steps": 2}
    return SSFTTrainer(
        load_to_shard(Checkpoint(BASE), dtype) if WORLD > 1 else Checkpoint(BASE).load_model(dtype),
        SSFTConfig(**arguments(name, **{**passes, **sizes, **changes})),
        processing_class=tokenizer, tags=tags, train_dataset=DATA["sets"], eval_dataset=DATA["sets"],
        callbacks=list(callbacks), peft_config=peft_config,
    )  # fmt: skip


def losses(trainer):
    return [logs for logs in trainer.state.log_history if "loss" in logs]


def fsdp_weights(model):
    states = [module._get_fsdp_state() for module in model.modules() if isinstance(module, FSDPModule)]
    return [weight for state in states for group in state._fsdp_param_groups for weight in group.fsdp_params]


class Looks(TrainerCallback):
    """Notes how the model is sharded, and gradients that are held whole after any backward pass."""

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        weights = list(model.parameters())
        result["shards"] = {
            "wrapped": isinstance(model, FSDPModule),
            "dtensors": sum(isinstance(weight, DTensor) for weight in weights),
            "weights": len(weights),
            "whole": sum(weight.numel() for weight in weights),
        }
        local = sum(weight.to_local().numel() for weight in weights if isinstance(weight, DTensor))
        everywhere = [None] * WORLD
        if WORLD > 1:
            torch.distributed.all_gather_object(everywhere, local)
        result["shards"]["local"] = everywhere


def count_backward(trainer):
    """Note after each backward pass whether a process holds a gradient of whole weights."""
    plain, held = trainer.accelerator.backward, []

    def backward(loss, **kwargs):
        plain(loss, **kwargs)
        held.append(any(
            weight.unsharded_accumulated_grad is not None
            or getattr(getattr(weight, "_unsharded_param", None), "grad", None) is not None
            for weight in fsdp_weights(trainer.model)
        ))  # fmt: skip

    trainer.accelerator.backward = backward
    return held


def full_training():
    trainer = ssft("full", [Looks()], save_strategy="steps", save_steps=2)
    held = count_backward(trainer)
    trainer.train()
    result["full"] = losses(trainer)
    result["held"] = [len(held), sum(held)]
    result["evaluation"] = trainer.evaluate()
    trainer.save_model(str(OUT / "full_saved"))
    again = ssft("full")
    again.train(resume_from_checkpoint=str(OUT / "full" / "checkpoint-2"))
    result["resumed"] = losses(again)


def adapters():
    for name, dtype in (("lora", "float32"), ("lora_bfloat16", "bfloat16")):
        config = lora_config(LoraSettings(rank=4, alpha=8))
        trainer = ssft(name, dtype=dtype, peft_config=config, max_steps=3, learning_rate=2e-2)
        trainer.train()
        result[name] = losses(trainer)
        result[f"{name}_dtypes"] = sorted({(w.requires_grad, str(w.dtype)) for w in trainer.model.parameters()})
        save_trained(trainer, Checkpoint(BASE), OUT / f"{name}_saved", 0, trainer.tags)


def half_precision():
    trainer = ssft("bf16", bf16=True, max_steps=12, gradient_accumulation_steps=1)
    trainer.train()
    result["bf16"] = losses(trainer)
    if WORLD > 1:
        policies = {(str(w.param_dtype), str(w.reduce_dtype)) for w in fsdp_weights(trainer.model)}
        result["bf16_policies"] = sorted(policies)
    trainer.save_model(str(OUT / "bf16_saved"))
    # Costs in float32 of the base model, which computes in bfloat16; each process asks for other problems.
    trainer = ssft("exact", bf16=True, max_steps=1, learning_rate=0.0)
    trainer.train()
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(4)])
    mine = [0, 1, 2, 3] if WORLD == 1 else [[0], [1, 2, 3], [], []][RANK]
    ids, settings = torch.tensor(trainer.tags.token_ids), CostSettings(200, 1024)
    costed = batch_costs(trainer.model, batch, mine, ids, settings, Measurement(), trainer.accelerator)
    found = {row: one.costs.tolist() for row, one in zip(mine, costed, strict=True) if one.measured}
    if costed:
        measured = costed[0].measured
        result["errors"] = [measured.fast / measured.n, measured.exact / max(measured.n_exact, 1)]
    everywhere = [found]
    if WORLD > 1:
        everywhere = [None] * WORLD
        torch.distributed.all_gather_object(everywhere, found)
    result["exact"] = {str(row): costs for part in everywhere for row, costs in part.items()}


def policies():
    model, tokenizer, tags = load_checkpoint(BASE)
    trainer = GFPOTrainer(
        model,
        GFPOConfig(**arguments(
            "gfpo", max_steps=4, per_device_train_batch_size=4 // WORLD, learning_rate=3e-3, kl_weight=0.1,
        )),
        processing_class=tokenizer, tags=tags, train_dataset=DATA["rewards"],
    )  # fmt: skip
    trainer.train()
    result["gfpo"] = losses(trainer)


def unequal():
    """Without the agreement on numbers of passes this must end in an error, not in a training."""
    sharding._most = lambda accelerator, count: count
    (OUT / "unequal_began").touch()
    faulthandler.dump_traceback_later(60, exit=True)
    ssft("unequal").train()
    (OUT / "unequal_finished").touch()


if __name__ == "__main__":
    if WORLD > 1:
        shard_on_cpu()
    for part in (full_training, adapters, half_precision, policies):
        part()
    if RANK == 0:
        (OUT / "result.json").write_text(json.dumps(result))
    if WORLD > 1:
        unequal()
