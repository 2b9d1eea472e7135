"""Over which processes a training is spread."""

from typing import Literal

from pydantic import model_validator

from forkpipe.parameters.base import Count, Settings


class SpreadSettings(Settings):
    """Processes of one training. They change no result: problems of a step are dealt to them, whatever their number."""

    processes: Count = 1
    """Processes on each machine, one a GPU."""
    machines: Count = 1
    """Machines; all must see the project's folder under one path."""
    launcher: Literal["torchrun", "slurm", "ray"] = "torchrun"
    """What starts the processes. slurm: srun, within the allocation that `kedro run` is started in; ray: Ray Train, on
    the cluster of RAY_ADDRESS."""
    shard: bool = True
    """Whether the processes share the model out (FSDP2); false: each holds all of it."""
    offload: list[Literal["activations", "states"]] = []
    """What is kept in the machine's memory in place of the GPU's. states: parameters, gradients and optimizer;
    activations: what `gradient_checkpointing` keeps of each layer."""
    endpoint: str | None = None
    """host:port at which processes of several machines meet, for torchrun; the host is the one of `kedro run`."""
    start: list[str] = []
    """For torchrun on several machines, how a command on each other machine begins, such as "ssh node2". Without it,
    the log shows the command to type there."""
    arguments: list[str] = []
    """Further arguments of torchrun or srun."""

    @property
    def total(self) -> int:
        """All processes."""
        return self.processes * self.machines

    @property
    def sharded(self) -> bool:
        """Whether a process holds a part of the model."""
        return self.shard and self.total > 1

    @model_validator(mode="after")
    def _fits(self) -> "SpreadSettings":
        if self.machines > 1 and self.launcher == "torchrun" and self.endpoint is None:
            raise ValueError(
                f"machines is {self.machines} and endpoint is not set, expected host:port, or slurm or ray"
            )
        if self.start and (self.launcher != "torchrun" or len(self.start) != self.machines - 1):
            raise ValueError(
                f"start holds {len(self.start)} commands, expected one for each other machine, with launcher torchrun"
            )
        if self.offload and not self.sharded:
            raise ValueError(f"offload is {self.offload}, expected several processes that share the model out")
        return self
