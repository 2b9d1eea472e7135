"""Wiring of evaluation: one factory samples and scores every method, three nodes compare them."""

from kedro.pipeline import Node, Pipeline

from forkpipe.parameters.methods import MATCHED, METHODS, SUPERVISED
from forkpipe.pipelines.evaluation.nodes import (
    compare_node,
    compute_metrics_node,
    generate_node,
    score_generations,
    tag_information_node,
)


def create_method_pipeline(method: str) -> Pipeline:
    """Return the sampling and scoring of one method."""
    parameters = ["params:evaluation", "params:tags", "params:model", "params:seed", "params:verification"]
    return Pipeline(
        [
            Node(
                generate_node(method),
                ["checkpoint", "problems", "completions", *parameters[:4]],
                "generations",
                name="generate",
            ),
            Node(score_generations, ["generations", "problems", "params:verification"], "scores", name="score"),
        ],
        namespace=method,
        inputs={"problems"},
        parameters={*parameters},
    )


def create_pipeline() -> Pipeline:
    """Return the pipeline `evaluation`."""
    scores = [f"{method}.scores" for method in METHODS]
    logs = [f"{method}.training_log" for method in METHODS]
    matchings = [f"{method}.matching" for method in SUPERVISED]
    generations = [f"{method}.generations" for method in METHODS]
    nodes = [
        Node(
            compute_metrics_node,
            ["params:evaluation", "params:seed", *scores, *(f"{method}.matching" for method in MATCHED)],
            "metrics",
            name="compute_metrics",
        ),
        Node(compare_node, ["metrics", *scores, *logs], "comparison", name="compare_methods"),
        Node(
            tag_information_node,
            ["trace_sets", "params:generation", *matchings, *generations],
            "tag_information",
            name="measure_tag_information",
        ),
    ]
    return Pipeline([*(create_method_pipeline(method) for method in METHODS), *nodes], tags="evaluation")
