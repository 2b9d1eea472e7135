"""Nodes that stand in the boxes of `kedro viz`, apart from their names and from the stores that they work in."""

import copy
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from kedro.pipeline import Node

from forkpipe.parameters.comparison import without_seed


class StageNode(Node):
    """A node with a box and with stores.

    Kedro would put the namespace before the node's name and before the names of its datasets. Here it only says in
    which box `kedro viz` shows the node, so that `kedro run --nodes=sft.train` does not depend on boxes.

    A node both reads and writes a store or a work folder, in which it finds what a killed run has left. So a store is
    no input that another node makes: it is not among `inputs`, and `hooks.ProjectHooks` hands it to the node.

    Args:
        inputs: argument -> dataset, see `pipelines.inputs`.
        name: of the node, also on the command line; that of the function unless given.
        box: dotted names of the boxes, from the outermost.
        stores: argument -> dataset, for the stores. These arguments are keyword-only, after all others: Kedro finds the
            type of a parameter by its position among `inputs`.
    """

    def __init__(
        self,
        func: Callable[..., Any],
        inputs: Mapping[str, str],
        outputs: str | list[str] | dict[str, str],
        *,
        name: str | None = None,
        box: str,
        stores: Mapping[str, str] | None = None,
        tags: str | None = None,
    ) -> None:
        self.stores = tuple((stores or {}).values())
        super().__init__(
            func, {**inputs, **(stores or {})}, outputs, name=name or func.__name__, namespace=box, tags=tags
        )

    @property
    def name(self) -> str:
        """The name, without the box."""
        return str(self._name)

    @property
    def variant(self) -> tuple[str, str, str] | None:
        """What the node is a variant of, in what, and with which value, as ("ssft.train", "seed", "1"), for plans."""
        name, seed = without_seed(self.name)
        return None if seed is None else (name, "seed", str(seed))

    @cached_property
    def inputs(self) -> list[str]:
        """The datasets that other nodes or the user make."""
        return [dataset for dataset in super().inputs if dataset not in self.stores]

    def _copy(self, **changes: Any) -> "StageNode":
        """Return a copy with some attributes changed, where Kedro would make a `Node` of it."""
        copied = copy.copy(self)
        for cached in ("inputs", "_unique_key", "namespace_prefixes"):
            copied.__dict__.pop(cached, None)
        for attribute, value in changes.items():
            setattr(copied, f"_{attribute}", value)
        return copied
