"""Wiring of evaluation: two nodes sample and score each method, three compare the methods."""

from kedro.pipeline import Node, Pipeline

from forkpipe.parameters.methods import MATCHED, METHODS, SUPERVISED, TAGGED
from forkpipe.pipelines.evaluation.nodes import (
    compare_node,
    compute_metrics_node,
    generate_node,
    score_generations,
    tag_information_node,
)
from forkpipe.pipelines.inputs import inputs, per_method


def create_method_pipeline(method: str) -> Pipeline:
    """Return the sampling and scoring of one method."""
    return Pipeline(
        [
            Node(
                generate_node(method, method in TAGGED),
                inputs(
                    "problems",
                    "params:tags",
                    "params:model",
                    "params:seed",
                    checkpoint=f"{method}.checkpoint",
                    store=f"{method}.completions",
                    settings="params:evaluation",
                ),
                f"{method}.generations",
                name="generate",
                namespace=method,
            ),
            Node(
                score_generations,
                inputs("problems", generations=f"{method}.generations", settings="params:verification"),
                f"{method}.scores",
                name="score",
                namespace=method,
            ),
        ]
    )


def create_pipeline() -> Pipeline:
    """Return the pipeline `evaluation`."""
    scores = per_method("scores", METHODS)
    learned = [method for method in SUPERVISED if method in TAGGED]
    nodes = [
        Node(
            compute_metrics_node,
            inputs("params:seed", settings="params:evaluation", **scores, **per_method("matching", MATCHED)),
            "metrics",
            name="compute_metrics",
        ),
        Node(
            compare_node,
            inputs("metrics", **scores, **per_method("training_log", METHODS)),
            "comparison",
            name="compare_methods",
        ),
        Node(
            tag_information_node,
            inputs(
                "trace_sets",
                "params:generation",
                **per_method("matching", learned),
                **per_method("generations", METHODS),
            ),
            "tag_information",
            name="measure_tag_information",
        ),
    ]
    return Pipeline([*(create_method_pipeline(method) for method in METHODS), *nodes], tags="evaluation")
