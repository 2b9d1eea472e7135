"""Which classes the parameters of a node pick, for its recipe (see `kedro_provenance.recipes.implementations`).

Engines are constructed, since only an instance knows its `identity`. The engines that sample checkpoints get the name
"checkpoint" for the folder, whose content is an input of the node.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from forkpipe.core.engine import Engine
from forkpipe.core.plugins import find_class
from forkpipe.engines.registry import create_engine, create_engines, unnamed_engine
from forkpipe.generation.chances import Correctness
from forkpipe.generation.planner import Planner
from forkpipe.generation.rounds import Judge, Rounds
from forkpipe.strategies.registry import CLUSTERERS
from forkpipe.verification.registry import VERIFIERS


def teachers_of(given: Mapping[str, Any]) -> list[Any]:
    """Return the engines of the teachers; with a target also the planner, and what judges for it."""
    settings = given["params:generation"]
    engines = _with_inner(create_engines(settings.asked).values())
    if settings.target is None:
        return engines
    judge = Judge(given["params:verification"], given["params:strategies"])
    return [*engines, Planner, Correctness, Rounds, judge, *verifiers_of(given), *clusterer_of(given)]


def _with_inner(engines: Iterable[Engine]) -> list[Any]:
    """Return engines, and the engines that they pass requests to: the code of both counts."""
    return [part for engine in engines for part in (engine, getattr(engine, "inner", None)) if part is not None]


def verifiers_of(given: Mapping[str, Any]) -> list[Any]:
    """Return the verifiers, and the judge's engine if there is one."""
    settings = given["params:verification"]
    classes: list[Any] = [
        find_class("verifier", VERIFIERS, name, "verification.verifiers")
        for name in sorted(set(settings.verifiers.values()))
    ]
    judge = settings.judge
    engines = [create_engine(judge.engine, judge.options, "verification.judge")] if judge else []
    return classes + _with_inner(engines)


def checkpoints_sampled_by(given: Mapping[str, Any]) -> list[Any]:
    """Return the engine that samples checkpoints for evaluation."""
    return _with_inner([unnamed_engine(given["params:evaluation"].engine, 1, "evaluation.engine")])


def models_measured_by(given: Mapping[str, Any]) -> list[Any]:
    """Return the engines that sample models on benchmarks."""
    measure = given["params:benchmarks"].measure
    settings = [measure.engine, *(subject.engine for subject in measure.subjects.values() if subject.engine)]
    return _with_inner(unnamed_engine(one, measure.batch_rows) for one in settings)


def rollouts_made_by(given: Mapping[str, Any]) -> list[Any]:
    """Return the engine that draws rollouts, and the verifiers that score them."""
    return [*_with_inner([unnamed_engine(given["params:rollouts"].engine, 1, "rollouts.engine")]), *verifiers_of(given)]


def clusterer_of(given: Mapping[str, Any]) -> list[Any]:
    """Return the clusterer, and the engines of the models that help it."""
    settings = given["params:strategies"]
    clusterer = find_class("clusterer", CLUSTERERS, settings.clusterer, "strategies.clusterer")
    models = {"summaries": settings.summaries, "judge": settings.judge}
    engines = [
        create_engine(model.engine, model.options, f"strategies.{name}") for name, model in models.items() if model
    ]
    return [clusterer, *_with_inner(engines)]
