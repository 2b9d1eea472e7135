"""Whether the processes of a training each hold the whole model, or a part of it."""

from typing import Any

from forkpipe.core.errors import InputError


def is_sharded(model: Any) -> bool:
    """Whether this process holds only a part of some weights: under FSDP, tensor parallelism or DeepSpeed's ZeRO-3.

    This looks at the weights themselves: a model can also be sharded while it is loaded (`distributed_config` and
    `tp_plan` of from_pretrained), of which no argument of the trainer tells.
    """
    import torch

    if not torch.distributed.is_available():
        return False
    from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel
    from torch.distributed.tensor import DTensor

    return any(isinstance(module, FSDPModule | FullyShardedDataParallel) for module in model.modules()) or any(
        isinstance(weight, DTensor) or hasattr(weight, "ds_id") for weight in model.parameters()
    )


def check_whole(model: Any) -> None:
    """Raise InputError if a model is sharded."""
    if is_sharded(model):
        raise InputError(
            "the model is sharded (FSDP, DeepSpeed, or distributed_config when it was loaded), which is not supported "
            "yet: expected data-parallel processes that each hold the whole model. Forward passes of a sharded model "
            "wait for one another, and processes match different numbers of problems"
        )


def check_stays_whole(trainer: Any) -> None:
    """Raise InputError if the arguments of a trainer ask for a sharded model."""
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        raise InputError(
            f"{'FSDP' if trainer.is_fsdp_enabled else 'DeepSpeed'} is asked for, which is not supported yet: expected "
            "data-parallel processes that each hold the whole model"
        )
    if trainer.args.fsdp:
        raise InputError(
            f"fsdp is {trainer.args.fsdp}, and accelerate does not shard on '{trainer.args.device.type}': every "
            "process would hold the whole model. Expected no fsdp"
        )
