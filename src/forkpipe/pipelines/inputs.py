"""Inputs of nodes by name, so that no node counts on their order."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from forkpipe.parameters.comparison import of_seed


def inputs(*datasets: str, **renamed: str) -> dict[str, str]:
    """Return the inputs of a node, argument -> dataset; an argument is called as its dataset unless it is renamed.

    >>> inputs("problems", "params:seed", base="base_model")
    {'problems': 'problems', 'seed': 'params:seed', 'base': 'base_model'}
    """
    return {dataset.removeprefix("params:"): dataset for dataset in datasets} | renamed


def per_method(kind: str, methods: Iterable[str], seeds: Sequence[int | None] = (None,)) -> dict[str, str]:
    """Return inputs for the tables of a kind that these methods have, by seed; the node takes them as `**tables`.

    >>> per_method("scores", ["ssft"])
    {'scores__ssft': 'ssft.scores'}
    """
    names = [of_seed(method, seed) for seed in seeds for method in methods]
    return {f"{kind}__{name}": f"{name}.{kind}" for name in names}


def grouped(kind: str, tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables of one kind by method, from what a node got as `**tables`.

    >>> grouped("scores", {"scores__ssft": 1, "matching__ssft": 2})
    {'ssft': 1}
    """
    prefix = f"{kind}__"
    return {name.removeprefix(prefix): table for name, table in tables.items() if name.startswith(prefix)}
