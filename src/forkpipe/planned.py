"""What the planned trainings and evaluations would do: lines that `kedro plan` and `kedro run` print after the plan."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from kedro.pipeline.node import Node

from forkpipe.models.support import configuration
from forkpipe.parameters import Parameters, SupervisedSettings, supervised_settings
from forkpipe.parameters.comparison import without_seed
from forkpipe.parameters.methods import COMPARED, POLICY, SUPERVISED
from forkpipe.parameters.recipes import (
    doubts,
    length_of,
    planned_length_of,
    values_of_evaluation,
    values_of_schedule,
    values_of_training,
)
from forkpipe.training.memory import Machine, Sizes, line_of, need


def described(catalog: Any, nodes: Collection[Node]) -> Iterator[str]:
    """Yield the settings of what is planned, a line for methods whose settings are the same, and warnings.

    Args:
        nodes: the nodes that may run.
    """
    counts = Counter(without_seed(node.name)[0] for node in nodes)
    parameters = Parameters.model_validate(catalog.load("parameters"))
    trained = any(f"{method}.train" in counts for method in SUPERVISED)
    sets = _training_sets(catalog) if trained else None
    stale = " (trace sets as they are now)" if "build_trace_sets" in counts and sets is not None else ""
    together: dict[str, list[str]] = defaultdict(list)
    doubtful: dict[str, None] = {}
    for method in SUPERVISED:
        if n := counts[f"{method}.train"]:
            settings = supervised_settings(parameters.supervised, getattr(parameters, method).train)
            together[f"{_length(settings, sets)}{stale}; {values_of_training(settings)}"].append(_with_seeds(method, n))
            doubtful |= dict.fromkeys(doubts(settings, sets or 0, parameters.model))
    for method in POLICY:
        if n := counts[f"{method}.train"]:
            schedule = getattr(parameters, method).train
            together[values_of_schedule(schedule, parameters.rollouts)].append(_with_seeds(method, n))
    if together and (selected := _selected(catalog)):
        yield selected
    for text, methods in together.items():
        yield f"train {', '.join(methods)}: {text}"
    yield from memory_lines(parameters, counts)
    for text in doubtful:
        yield f"WARNING {text}"
    if any(counts[f"{method}.generate"] for method in COMPARED):
        yield f"evaluate: {values_of_evaluation(parameters.evaluation, parameters.tags.n)}"


def memory_lines(parameters: Parameters, methods: Collection[str]) -> Iterator[str]:
    """Yield what the trainings of a pretrained model take, a line for methods that take the same.

    Args:
        methods: the nodes that may run, without their seeds.
    """
    together: dict[str, list[str]] = defaultdict(list)
    for method, settings, sizes in trained_by(parameters, methods):
        together[line_of(need(sizes, settings), settings, Machine.here(Path()))].append(method)
    for text, names in together.items():
        yield f"memory of {', '.join(names)}: {text}"


def trained_by(parameters: Parameters, nodes: Collection[str]) -> Iterator[tuple[str, SupervisedSettings, Sizes]]:
    """Yield each supervised method among the nodes, its settings, and the sizes of its model where they are known."""
    methods = [method for method in SUPERVISED if f"{method}.train" in nodes]
    config = configuration(parameters.model) if methods else None
    sizes = Sizes.of(config) if config else None
    if sizes is not None:
        for method in methods:
            yield method, supervised_settings(parameters.supervised, getattr(parameters, method).train), sizes


def _with_seeds(method: str, n: int) -> str:
    return method if n == 1 else f"{method} ({n} seeds)"


def _length(settings: SupervisedSettings, sets: int | None) -> str:
    return planned_length_of(settings) if sets is None else length_of(settings, sets)


def _selected(catalog: Any) -> str:
    """Return how many sets the selection gave and the other rule would give; empty if there are none yet."""
    from forkpipe.generation.set_totals import of_both

    totals = catalog["trace_set_totals"]
    return f"trace sets: {of_both(totals.load())}" if totals.exists() else ""


def _training_sets(catalog: Any) -> int | None:
    """Return the number of trace sets of split train, None if there are none yet."""
    from forkpipe.stores.tables import open_table

    table = catalog["trace_sets"]
    if not table.exists():
        return None
    with open_table(table._describe()["filepath"]) as file:
        splits = file.read(columns=["split"]).column("split").to_pylist()
    return splits.count("train") or None
