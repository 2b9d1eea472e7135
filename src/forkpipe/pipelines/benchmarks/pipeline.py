"""Wiring of benchmarks: two nodes sample and score the models that parameters name and each method, one compares."""

from kedro.pipeline import Pipeline

from forkpipe.parameters import Comparison
from forkpipe.pipelines.benchmarks.nodes import (
    compute_benchmark_metrics,
    sample_method_node,
    sample_subjects,
    score_samples,
)
from forkpipe.pipelines.inputs import inputs, per_method
from forkpipe.pipelines.stages import StageNode

SUBJECTS = "subjects"
"""Stands for all models that parameters name, where a method's name would be."""


def create_pipeline(comparison: Comparison) -> Pipeline:
    """Return the pipeline `benchmarks`."""
    methods = comparison.measured
    nodes = [*(_sampled(name, comparison) for name in (SUBJECTS, *methods)), *map(_scored, [SUBJECTS, *methods])]
    nodes.append(
        StageNode(
            compute_benchmark_metrics,
            inputs("params:seed", problems="benchmark_problems", settings="params:benchmarks")
            | per_method("benchmark_scores", [SUBJECTS, *methods]),
            {"metrics": "benchmark_metrics", "differences": "benchmark_differences"},
            box="benchmarks",
        )
    )
    return Pipeline(nodes, tags="benchmarks")


def _sampled(method: str, comparison: Comparison) -> StageNode:
    common = inputs("params:seed", problems="benchmark_problems", settings="params:benchmarks")
    of_method = {} if method == SUBJECTS else {"checkpoint": comparison.first_checkpoint(method)}
    return StageNode(
        sample_method_node(method) if of_method else sample_subjects,
        {**of_method, **common},
        f"{method}.benchmark_generations",
        stores={"store": f"{method}.benchmark_completions"},
        name=f"{method}.benchmark",
        box="benchmarks",
    )


def _scored(method: str) -> StageNode:
    return StageNode(
        score_samples,
        inputs(
            problems="benchmark_problems",
            generations=f"{method}.benchmark_generations",
            settings="params:verification",
        ),
        f"{method}.benchmark_scores",
        name=f"{method}.benchmark_score",
        box="benchmarks",
    )
