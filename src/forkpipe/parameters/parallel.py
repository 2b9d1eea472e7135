"""Parameters of the stages that spread over cores and machines; no result depends on them."""

from typing import Literal

from forkpipe.parameters.base import Count, Settings


class RaySettings(Settings):
    """A Ray cluster, which needs the extra ray."""

    address: str | None = None
    """Of the cluster, "auto" for the one that this machine belongs to; null uses RAY_ADDRESS, or starts Ray here."""


class ParallelSettings(Settings):
    """What verifies and clusters traces. Work of less than a second starts no process."""

    workers: Count | Literal["auto"] = "auto"
    """Processes, or tasks at a time on Ray. auto: one for each core, of this machine or of the cluster; with 1 on this
    machine the command itself works."""
    ray: RaySettings | None = None
    """null: processes on this machine."""
