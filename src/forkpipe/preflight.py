"""Checks that need more than the parameters alone, made when it is known what will run and before the first of it."""

from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.records import Split
from forkpipe.parameters import Parameters
from forkpipe.plugins import CLUSTERERS, VERIFIERS, create, create_engines, create_judge

SPLITS_NEEDED: dict[str, tuple[Split, ...]] = {
    "gfpo.rollouts": ("rl",),
    "grpo.train": ("rl",),
    "sft.generate": ("validation", "test"),
    "ssft.generate": ("validation", "test"),
}
"""Splits that a node cannot do without."""


def check_run(catalog: Any, nodes: set[str]) -> None:
    """Raise InputError for what would stop a node: a package, an option, settings that do not go together.

    Args:
        catalog: for the parameters.
        nodes: names of the nodes that are to run.
    """
    parameters = Parameters.model_validate(catalog.load("parameters"))
    if "generate_traces" in nodes:
        for engine in create_engines(parameters.generation.asked).values():
            engine.samples_held("")  # a file of traces is read, and what is wrong with it is said
            engine.close()
    if "cluster_strategies" in nodes:
        settings = parameters.strategies
        create("clusterer", CLUSTERERS, settings.clusterer, settings.options, "strategies.clusterer")
    if "verify_traces" in nodes:
        verification = parameters.verification
        for name in set(verification.verifiers.values()):
            options = verification.options.get(name, {})
            create("verifier", VERIFIERS, name, options, "verification.verifiers").close()
        if verification.judge is not None:
            create_judge(verification.judge).close()
    if "gfpo.train" in nodes and parameters.tags.style != "special" and parameters.gfpo.train.scope == "head":
        raise InputError(
            "parameter tags.style is 'text' and gfpo.train.scope 'head', which trains output rows that ordinary tokens "
            "share: expected tags.style 'special', or gfpo.train.scope 'router'"
        )
    for node, splits in SPLITS_NEEDED.items():
        for split in splits:
            if node in nodes and not parameters.problems.shares.get(split):
                raise InputError(f"parameter problems.shares.{split} is 0, expected more: {node} needs problems of it")
