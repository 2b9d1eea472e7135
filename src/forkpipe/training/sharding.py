"""Training in processes that each hold a part of the model: FSDP2, through accelerate.

Every forward pass of a sharded model gathers its weights from all processes, layer by layer, and every backward pass
adds up its gradients over them. So a pass waits for all processes, and all must take equally many: who has fewer takes
part in the missing ones with a token that does not count. DeepSpeed offers nothing beyond FSDP2 that is needed here,
and its ZeRO-3 has rules of its own for passes without gradients.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from forkpipe.core.errors import InputError
from forkpipe.parameters.spread import SpreadSettings
from forkpipe.training.jobs import checkpointing

SHARDS = "pytorch_model_fsdp_0"
"""Folder of a trainer's checkpoint with the parts that the processes hold."""


def holds_shards(checkpoint: Path) -> bool:
    """Whether a trainer's checkpoint was written by processes that hold the model together."""
    return (checkpoint / SHARDS).exists()


def spread_arguments(settings: SpreadSettings, recompute: bool) -> dict[str, Any]:
    """Return the fields of transformers.TrainingArguments that spread a training over the processes that there are.

    Args:
        recompute: whether activations are computed again in the backward pass.
    """
    if settings.total == 1:
        return checkpointing(recompute)
    arguments: dict[str, Any] = {"use_cpu": not torch.cuda.is_available(), "ddp_timeout": 7200}
    offloaded = recompute and "activations" in settings.offload
    if settings.shard:
        arguments["fsdp"] = True
        arguments["fsdp_config"] = {
            "state_dict_type": "SHARDED_STATE_DICT",
            "cpu_ram_efficient_loading": True,
            "cpu_offload": "states" in settings.offload,
            "activation_checkpointing": recompute and not offloaded,
        }
        if "states" in settings.offload and torch.cuda.is_available():
            arguments["ddp_backend"] = "cpu:gloo,cuda:nccl"  # gradients are clipped where they lie
    elif recompute:
        arguments |= checkpointing(recompute)
    if offloaded:
        arguments |= {"activation_checkpointing": True, "activation_checkpointing_kwargs": {"offload": True}}
    return arguments


def is_sharded(model: Any) -> bool:
    """Whether this process holds only a part of some weights: under FSDP, tensor parallelism or DeepSpeed's ZeRO-3.

    This looks at the weights themselves: a model can also be sharded while it is loaded (`distributed_config` and
    `tp_plan` of from_pretrained), of which no argument of the trainer tells.
    """
    if not torch.distributed.is_available():
        return False
    from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel
    from torch.distributed.tensor import DTensor

    return any(isinstance(module, FSDPModule | FullyShardedDataParallel) for module in model.modules()) or any(
        isinstance(weight, DTensor) or hasattr(weight, "ds_id") for weight in model.parameters()
    )


def check_whole(model: Any) -> None:
    """Raise InputError if a model is sharded before a trainer has it."""
    if is_sharded(model):
        raise InputError(
            "the model is sharded already (FSDP, DeepSpeed, distributed_config of from_pretrained), expected a whole "
            "one: transformers.Trainer cannot resume such a training. Use fsdp=True, and the trainer shards the model"
        )


def prepare_sharding(trainer: Any) -> None:
    """Refuse what is asked for and would not be done right, and set what FSDP2 needs here.

    Gradients are added up in float32 and outputs keep their precision: by default accelerate rounds both to bfloat16
    under `bf16`. Gradients are spread after every pass, also within an accumulation: otherwise each process would hold
    those of the whole model between passes.

    Raises:
        InputError: DeepSpeed or FSDP1 is asked for, or accelerate does not shard on this device.
    """
    if trainer.is_deepspeed_enabled:
        raise InputError(
            "DeepSpeed is asked for, which is not supported: expected fsdp=True, which spreads parameters, gradients "
            "and optimizer over the processes as ZeRO-3 does"
        )
    if not trainer.args.fsdp:
        return
    if not trainer.is_fsdp_enabled:
        raise InputError(
            f"fsdp is {trainer.args.fsdp}, and accelerate does not shard on '{trainer.args.device.type}': every "
            "process would hold the whole model. Expected no fsdp"
        )
    from torch.distributed.fsdp import MixedPrecisionPolicy

    plugin = trainer.accelerator.state.fsdp_plugin
    if plugin.fsdp_version != 2:
        raise InputError(f"fsdp_config.version is {plugin.fsdp_version}, expected 2")
    if trainer.args.fp16:
        raise InputError("fp16 is True with fsdp, expected bf16")
    if trainer.args.bf16:
        plugin.mixed_precision_policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, output_dtype=None)
    trainer.accelerator.gradient_state.plugin_kwargs["sync_each_batch"] = True


def check_sharded(model: Any) -> None:
    """Raise InputError if a process holds any weight whole."""
    from torch.distributed.tensor import DTensor

    whole = [name for name, weight in model.named_parameters() if not isinstance(weight, DTensor)]
    if whole:
        raise InputError(f"fsdp left {len(whole)} weights whole in every process, such as {whole[0]}, expected none")


def missing_passes(model: Any, accelerator: Any, count: int) -> int:
    """Return how many passes this process must take in addition to `count`, so that all processes take as many.

    All processes call it, and before the first of the passes: a process that waits here for one that waits in a pass
    would wait for ever.
    """
    return _most(accelerator, count) - count if is_sharded(model) else 0


def _most(accelerator: Any, count: int) -> int:
    """Return the largest of the processes' numbers."""
    return int(accelerator.gather(torch.tensor([count], device=accelerator.device)).max())


def whole_weights(model: Any) -> dict[str, Any]:
    """Return the trained weights of a sharded model in the first process, on its CPU; nothing in the others.

    All processes call it. Of a model with an adapter these are the adapter's weights.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    adapter = hasattr(model, "peft_config")
    options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=adapter)
    return get_model_state_dict(model, options=options)


@contextmanager
def gathered_in_float32(model: Any) -> Iterator[None]:
    """Within the block, passes of a sharded model gather its weights as they are stored, not rounded to bfloat16.

    All processes enter and leave it together. Only for passes without gradient. FSDP2 has no public switch for this, so
    attributes of torch are set here; tests/training/test_sharded.py compares what comes out.
    """
    from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy

    modules = [module for module in model.modules() if isinstance(module, FSDPModule)]
    states = list({id(state): state for state in (module._get_fsdp_state() for module in modules)}.values())
    before = [state._mp_policy for state in states]

    def gather_with(policies: list[MixedPrecisionPolicy]) -> None:
        for module in modules:
            module.reshard()
        for state, policy in zip(states, policies, strict=True):
            state._mp_policy = policy
            for group in state._fsdp_param_groups:
                group.mp_policy = policy
                for weight in group.fsdp_params:
                    # The gathered weight is kept for reuse, in the precision of before.
                    weight.all_gather_outputs = []
                    vars(weight).pop("_unsharded_param", None)
                group._init_mp_dtypes()

    gather_with([MixedPrecisionPolicy() for _ in states])
    try:
        yield
    finally:
        gather_with(before)
