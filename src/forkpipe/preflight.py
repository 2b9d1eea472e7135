"""Checks of what the planned nodes need, made before the first of them runs: packages, options, keys, splits."""

from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.rows import Split
from forkpipe.engines.registry import create_completing, create_engine, create_engines
from forkpipe.parameters import Parameters, Schedule
from forkpipe.parameters.methods import METHODS, POLICY
from forkpipe.strategies.grouping import check_measures
from forkpipe.strategies.registry import create_clusterer
from forkpipe.verification.registry import create_verifiers

SPLITS_NEEDED: dict[str, tuple[Split, ...]] = {
    **{f"{method}.train": ("rl",) for method in POLICY},
    **{f"{method}.generate": ("validation", "test") for method in METHODS},
}
"""Node -> the splits of problems without which it cannot run."""


def check_run(catalog: Any, nodes: set[str]) -> None:
    """Raise InputError for what would stop a node: a missing package, a wrong option, settings that exclude each other.

    Args:
        catalog: the catalog of the run, which holds the parameters.
        nodes: names of the nodes that may run.
    """
    parameters = Parameters.model_validate(catalog.load("parameters"))
    if "generate_traces" in nodes:
        for engine in create_engines(parameters.generation.asked).values():
            engine.samples_held("")  # reads the file of an engine that imports traces, and raises what is wrong with it
            engine.close()
    if "cluster_strategies" in nodes:
        settings = parameters.strategies
        clusterer = create_clusterer(settings)
        for model, where in ((settings.summaries, "summaries"), (settings.judge, "judge")):
            if model is not None:
                check_measures(clusterer)
                create_engine(model.engine, model.options, f"strategies.{where}").close()
    if "verify_traces" in nodes:
        verification = parameters.verification
        for verifier in create_verifiers(verification).values():
            verifier.close()
        if (judge := verification.judge) is not None:
            create_engine(judge.engine, judge.options, "verification.judge").close()
    for method in POLICY:
        schedule: Schedule = getattr(parameters, method).train
        for name, phase in schedule.phases().items():
            head = phase.kind == "tags" and phase.scope == "head"
            if f"{method}.train" in nodes and head and not parameters.tags.adds_tokens:
                raise InputError(
                    f"parameter tags.style is '{parameters.tags.style}' and {method}.train.{name}.scope 'head', which "
                    "trains output rows that ordinary tokens share: expected tags.style 'special', or scope 'router'"
                )
    if any(f"{method}.train" in nodes for method in POLICY):
        create_completing(parameters.rollouts.engine, "checkpoint", 1, "rollouts.engine")
    if any(f"{method}.generate" in nodes for method in METHODS):
        create_completing(parameters.evaluation.engine, "checkpoint", 1, "evaluation.engine")
    for node, splits in SPLITS_NEEDED.items():
        for split in splits:
            if node in nodes and not parameters.problems.shares.get(split):
                raise InputError(f"parameter problems.shares.{split} is 0, expected more: {node} needs problems of it")
