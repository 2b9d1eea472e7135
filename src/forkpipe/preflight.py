"""Checks of what the planned nodes need, made before the first of them runs: packages, options, keys, splits."""

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

from kedro.pipeline.node import Node

from forkpipe.core.errors import InputError
from forkpipe.core.rows import Split
from forkpipe.engines.registry import create_completing, create_engine, create_engines, unnamed_engine
from forkpipe.models.support import check_bf16, check_student, ties_embeddings
from forkpipe.parameters import Parameters, Schedule, supervised_settings
from forkpipe.parameters.comparison import without_seed
from forkpipe.parameters.methods import COMPARED, POLICY, SUPERVISED
from forkpipe.parameters.recipes import refused_phase_rate, refused_rate
from forkpipe.parameters.training import SCRATCH
from forkpipe.planned import trained_by
from forkpipe.strategies.registry import create_clusterer
from forkpipe.training.memory import Machine, lacking, need, remedy
from forkpipe.verification.registry import create_verifiers

SPLITS_NEEDED: dict[str, tuple[Split, ...]] = {
    **{f"{method}.train": ("rl",) for method in POLICY},
    **{f"{method}.generate": ("validation", "test") for method in COMPARED},
}
"""Node -> the splits of problems without which it cannot run."""


def check_run(catalog: Any, nodes: Collection[Node]) -> None:
    """Raise InputError for what would stop a node: a missing package, a wrong option, settings that exclude each other.

    Args:
        nodes: the nodes that may run. Their stores and work folders must hold no files of a user.
    """
    for node in nodes:
        for store in getattr(node, "stores", ()):
            catalog[store].check()
    names = {without_seed(node.name)[0] for node in nodes}
    parameters = Parameters.model_validate(catalog.load("parameters"))
    for name, check in CHECKS.items():
        if name in names:
            check(parameters)
    _check_memory(parameters, names)
    for name, splits in SPLITS_NEEDED.items():
        for split in splits:
            if name in names and split not in parameters.problems.splits:
                if parameters.problems.sources:
                    raise InputError(f"no source in problems.sources is used for {split}: {name} needs problems of it")
                raise InputError(f"parameter problems.shares.{split} is 0, expected more: {name} needs problems of it")


def _check_teachers(parameters: Parameters) -> None:
    for engine in create_engines(parameters.generation.asked).values():
        if getattr(engine, "is_fetched", True):
            engine.samples_held("")  # reads the file of an engine that imports traces, and raises what is wrong with it
        engine.close()


def _check_clusterer(parameters: Parameters) -> None:
    settings = parameters.strategies
    clusterer = create_clusterer(settings)
    for model, where in ((settings.summaries, "summaries"), (settings.judge, "judge")):
        if model is not None:
            from forkpipe.strategies.grouping import check_measures

            check_measures(clusterer)
            create_engine(model.engine, model.options, f"strategies.{where}").close()


def _check_verifiers(parameters: Parameters) -> None:
    for verifier in create_verifiers(parameters.verification).values():
        verifier.close()
    if (judge := parameters.verification.judge) is not None:
        create_engine(judge.engine, judge.options, "verification.judge").close()


def _check_student(parameters: Parameters) -> None:
    """Check that the model can be trained, before teachers are paid for what it would learn."""
    if parameters.model.source != SCRATCH:
        check_student(parameters.model, parameters.tags, parameters.supervised.max_length)


def _check_supervised(method: str, parameters: Parameters) -> None:
    """Refuse a rate that would ruin a pretrained model, and bfloat16 where it cannot be computed."""
    own = getattr(parameters, method).train
    settings = supervised_settings(parameters.supervised, own)
    if settings.bf16 is True:
        check_bf16()
    if parameters.model.source != SCRATCH and (why := refused_rate(settings)):
        name = f"{method}.train" if "learning_rate" in own else "supervised"
        raise InputError(f"parameter {name}.learning_rate {why}")


def _check_memory(parameters: Parameters, nodes: Collection[str]) -> None:
    """Refuse a training that this machine's GPUs, memory or disk do not hold, and say what would make it fit."""
    for method, settings, sizes in trained_by(parameters, nodes):
        machine, spread = Machine.here(Path()), settings.spread
        if machine.cards and spread.launcher == "torchrun" and spread.processes > machine.cards:
            raise InputError(
                f"{method}: spread.processes is {spread.processes}, expected at most the {machine.cards} GPUs here"
            )
        if short := lacking(need(sizes, settings), settings, machine):
            raise InputError(f"training {method} {short}: expected supervised.{remedy(sizes, settings, machine)}")


def _check_policy(method: str, parameters: Parameters) -> None:
    schedule: Schedule = getattr(parameters, method).train
    for name, phase in schedule.phases().items():
        if parameters.model.source != SCRATCH and (why := refused_phase_rate(phase)):
            raise InputError(f"parameter {method}.train.{name}.learning_rate {why}")
        if phase.kind == "tags" and phase.scope == "head" and ties_embeddings(parameters.model):
            raise InputError(
                f"parameter {method}.train.{name}.scope is 'head' and {parameters.model.source} ties its embeddings, "
                "so that no output row can be trained alone: expected scope 'router' (--params="
                f"{method}.train.{name}.scope=router,{method}.train.{name}.learning_rate=1e-4)"
            )
        if phase.kind == "tags" and phase.scope == "head" and not parameters.tags.adds_tokens:
            raise InputError(
                f"parameter tags.style is '{parameters.tags.style}' and {method}.train.{name}.scope 'head', which "
                "trains output rows that ordinary tokens share: expected tags.style 'special', or scope 'router'"
            )
        if phase.bf16 is True:
            check_bf16()
    create_completing(parameters.rollouts.engine, "checkpoint", 1, "rollouts.engine").close()


def _check_sampling(parameters: Parameters) -> None:
    create_completing(parameters.evaluation.engine, "checkpoint", 1, "evaluation.engine").close()


def _check_measured(parameters: Parameters) -> None:
    measure = parameters.benchmarks.measure
    for settings in (measure.engine, *(subject.engine for subject in measure.subjects.values() if subject.engine)):
        unnamed_engine(settings, measure.batch_rows).close()


CHECKS: dict[str, Callable[[Parameters], None]] = {
    "generate_traces": _check_teachers,
    "cluster_strategies": _check_clusterer,
    "verify_traces": _check_verifiers,
    "make_base_checkpoint": _check_student,
    **{f"{method}.train": partial(_check_supervised, method) for method in SUPERVISED},
    **{f"{method}.train": partial(_check_policy, method) for method in POLICY},
    **{f"{method}.benchmark": _check_measured for method in ("subjects", *COMPARED)},
    **{f"{method}.generate": _check_sampling for method in COMPARED},
}
"""Node -> what is checked before it may run."""
