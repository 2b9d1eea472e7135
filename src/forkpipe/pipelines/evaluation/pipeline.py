"""Wiring of evaluation: two nodes sample and score the base model and each method, four compare them."""

from kedro.pipeline import Pipeline

from forkpipe.evaluation.scoring import score_generations
from forkpipe.parameters import Comparison
from forkpipe.parameters.methods import BASE
from forkpipe.pipelines.evaluation.nodes import (
    compare_node,
    compute_metrics_node,
    generate_node,
    sample_texts_node,
    tag_information_node,
)
from forkpipe.pipelines.implementations import verifiers_of
from forkpipe.pipelines.inputs import inputs, per_method
from forkpipe.pipelines.nodes import concatenate_methods
from forkpipe.pipelines.stages import StageNode
from kedro_provenance.recipes import implementations


def create_sampling_pipeline(comparison: Comparison) -> Pipeline:
    """Return the sampling and scoring of the base model and of each method."""
    return sum((_method_pipeline(method) for method in (BASE, *comparison.methods)), start=Pipeline([]))


def _method_pipeline(method: str) -> Pipeline:
    return Pipeline(
        [
            StageNode(
                generate_node(method),
                inputs(
                    "problems",
                    "params:tags",
                    "params:model",
                    "params:seed",
                    checkpoint="base_model" if method == BASE else f"{method}.checkpoint",
                    settings="params:evaluation",
                ),
                f"{method}.generations",
                stores={"store": f"{method}.completions"},
                name=f"{method}.generate",
                box=f"evaluation.{method}",
            ),
            StageNode(
                implementations(verifiers_of)(score_generations),
                inputs(
                    "problems", "params:parallel", generations=f"{method}.generations", settings="params:verification"
                ),
                f"{method}.scores",
                name=f"{method}.score",
                box=f"evaluation.{method}",
            ),
        ],
        tags="evaluation",
    )


def create_pipeline(comparison: Comparison) -> Pipeline:
    """Return the rest of the pipeline `evaluation`, which compares all methods and seeds."""
    evaluated, seeds = [BASE, *comparison.methods], comparison.replicates
    nodes = [
        StageNode(
            concatenate_methods,
            inputs("params:seed") | per_method("scores", evaluated, seeds),
            {"scores": "scores"},
            name="collect_scores",
            box="evaluation",
        ),
        StageNode(
            compute_metrics_node,
            inputs("scores", "matchings", "params:seed", settings="params:evaluation"),
            "metrics",
            name="compute_metrics",
            box="evaluation",
        ),
        StageNode(
            compare_node,
            inputs("metrics", "scores", "training_logs"),
            "comparison",
            name="compare_methods",
            box="evaluation",
        ),
        StageNode(
            tag_information_node,
            inputs("trace_sets", "matchings", "params:generation", "params:seed")
            | per_method("generations", comparison.methods, seeds),
            "tag_information",
            name="measure_tag_information",
            box="evaluation",
        ),
        StageNode(
            sample_texts_node,
            inputs("scores", "problems") | per_method("generations", evaluated, seeds[:1]),
            "sample_texts",
            name="pick_sample_texts",
            box="evaluation",
        ),
    ]
    return Pipeline(nodes, tags="evaluation")
