"""Which classes the parameters of a node pick, for its recipe (see `kedro_provenance.recipes.implementations`)."""

from collections.abc import Mapping
from typing import Any

from forkpipe.core.plugins import find_class
from forkpipe.engines.registry import ENGINES, create_engine, create_engines
from forkpipe.strategies.registry import CLUSTERERS
from forkpipe.verification.registry import VERIFIERS


def engines_of(given: Mapping[str, Any]) -> list[Any]:
    """Return the engines of the teachers."""
    return list(create_engines(given["params:generation"].asked).values())


def verifiers_of(given: Mapping[str, Any]) -> list[Any]:
    """Return the verifiers, and the judge's engine if there is one."""
    settings = given["params:verification"]
    classes: list[Any] = [
        find_class("verifier", VERIFIERS, name, "verification.verifiers")
        for name in sorted(set(settings.verifiers.values()))
    ]
    judge = settings.judge
    return classes + ([create_engine(judge.engine, judge.options, "verification.judge")] if judge else [])


def checkpoints_sampled_by(given: Mapping[str, Any]) -> list[Any]:
    """Return the engine that samples checkpoints for evaluation."""
    return [find_class("engine", ENGINES, given["params:evaluation"].engine.name, "evaluation.engine")]


def rollouts_made_by(given: Mapping[str, Any]) -> list[Any]:
    """Return the engine that draws rollouts, and the verifiers that score them."""
    name = given["params:rollouts"].engine.name
    return [find_class("engine", ENGINES, name, "rollouts.engine"), *verifiers_of(given)]


def clusterer_of(given: Mapping[str, Any]) -> list[Any]:
    """Return the clusterer, and the engines of the models that help it."""
    settings = given["params:strategies"]
    clusterer = find_class("clusterer", CLUSTERERS, settings.clusterer, "strategies.clusterer")
    models = {"summaries": settings.summaries, "judge": settings.judge}
    engines = [create_engine(one.engine, one.options, f"strategies.{name}") for name, one in models.items() if one]
    return [clusterer, *engines]
