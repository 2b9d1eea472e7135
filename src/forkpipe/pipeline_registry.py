"""The registered pipelines; each name works with `kedro run --pipelines=NAME`.

A registered pipeline holds its own nodes and everything upstream of them, down to the raw problems. Its own nodes have
its name as a tag; `kedro_provenance.runner.ProvenanceRunner` leaves out of the rest what is fresh.

`__default__`, `evaluation` and `report` hold the methods that the parameters choose (`wiring.chosen`). Every method has
a pipeline `train_{method}`, chosen or not. `__default__` holds no nodes of benchmarks where none is in use.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from kedro.pipeline import Node, Pipeline

from forkpipe.pipelines.benchmarks.pipeline import create_pipeline as create_benchmarks
from forkpipe.pipelines.evaluation.pipeline import create_pipeline as create_evaluation
from forkpipe.pipelines.evaluation.pipeline import create_sampling_pipeline
from forkpipe.pipelines.problems.pipeline import create_pipeline as create_problems
from forkpipe.pipelines.report.pipeline import create_pipeline as create_reporting
from forkpipe.pipelines.trace_generation.pipeline import create_pipeline as create_trace_generation
from forkpipe.pipelines.training.pipeline import (
    create_base_pipeline,
    create_collecting_pipeline,
    create_training_pipelines,
)
from forkpipe.replicates import for_seeds
from forkpipe.wiring import chosen


def register_pipelines() -> dict[str, Pipeline]:
    """Return all pipelines by name."""
    # Kedro warns about every dotted name that a node reads from another namespace, though it made the dots itself.
    warnings.filterwarnings("ignore", message="One or more dataset names contain '.' characters")
    comparison = chosen()
    seeds, shares_base = comparison.replicates, comparison.shares_base
    training = {
        method: for_seeds(pipeline, seeds, shares_base) for method, pipeline in create_training_pipelines().items()
    }
    base = for_seeds(create_base_pipeline(), [None] if shares_base else seeds)
    own = {
        "problems": create_problems(comparison),
        "trace_generation": create_trace_generation(),
        **{f"train_{method}": pipeline for method, pipeline in training.items()},
        "evaluation": for_seeds(create_sampling_pipeline(comparison), seeds, shares_base)
        + create_evaluation(comparison),
        "benchmarks": create_benchmarks(comparison),
        "report": create_reporting(comparison),
    }
    nodes = set(_nodes(base, create_collecting_pipeline(comparison), *own.values()))
    parents = Pipeline(nodes).node_dependencies
    unused = set(_nodes(*(part for method, part in training.items() if method not in comparison.trained)))
    if not comparison.benchmarks.use:
        unused.update(_nodes(own["benchmarks"], own["problems"].to_outputs("benchmark_problems")))
    return {
        **{name: Pipeline(_with_upstream(part.nodes, parents)) for name, part in own.items()},
        "__default__": Pipeline(nodes - unused),
    }


def _nodes(*parts: Pipeline) -> Iterator[Node]:
    return chain.from_iterable(part.nodes for part in parts)


def _with_upstream(nodes: Iterable[Node], parents: Mapping[Node, set[Node]]) -> set[Node]:
    """Return nodes and all that they need, as `Pipeline.to_nodes` does, which makes a pipeline for each of them."""
    needed: set[Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            waiting.extend(parents[node])
    return needed
