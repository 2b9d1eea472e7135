"""The nodes of further seeds: those of the run's own seed, with other names and another seed."""

from collections.abc import Callable, Sequence
from functools import partial, update_wrapper
from typing import Any, cast

from kedro.pipeline import Pipeline

from forkpipe.parameters.comparison import of_seed
from forkpipe.pipelines.stages import StageNode

BASE_MODEL = {"base_model": "base.checkpoint", "base_work": "base.work"}
"""What each seed has for itself though there is no dot in its name, if the base model is made from scratch."""
SEED = "params:seed"


def for_seeds(pipeline: Pipeline, seeds: Sequence[int | None], shares_base: bool = False) -> Pipeline:
    """Return the nodes of a pipeline once for each seed.

    Args:
        pipeline: for the run's own seed, which `params:seed` gives.
        seeds: of trainings; None for the run's own.
        shares_base: whether all seeds read the same base model.
    """
    own = {} if shares_base else BASE_MODEL
    nodes = [cast(StageNode, node) for node in pipeline.nodes]
    return Pipeline([node if seed is None else _of(node, seed, own) for seed in seeds for node in nodes])


def _of(node: StageNode, seed: int, own: dict[str, str]) -> StageNode:
    def renamed(dataset: str) -> str:
        dataset = own.get(dataset, dataset)
        # What a method has is named `{method}.{kind}`; what has no dot is shared.
        return dataset if dataset.startswith("params:") or "." not in dataset else of_seed(dataset, seed)

    given = cast(dict[str, str], node._inputs)
    outputs = cast(str | list[str], node._outputs)
    copied = node._copy(
        func=_seeded(node.func, seed) if SEED in given.values() else node.func,
        inputs={argument: renamed(name) for argument, name in given.items() if name != SEED},
        outputs=renamed(outputs) if isinstance(outputs, str) else [renamed(name) for name in outputs],
        name=of_seed(node.name, seed),
    )
    copied.stores = tuple(map(renamed, node.stores))
    return copied


def _seeded(function: Callable[..., Any], seed: int) -> Callable[..., Any]:
    """Return the function of a node with its argument `seed` given."""
    given: Any = update_wrapper(partial(function, seed=seed), function)
    del given.__wrapped__  # Kedro would read from it that `seed` is still missing
    return cast(Callable[..., Any], given)
