"""Wiring of training: two factories make all methods, each in a namespace of its own name."""

from kedro.pipeline import Node, Pipeline

from forkpipe.methods import POLICY, SUPERVISED
from forkpipe.pipelines.training.nodes import (
    gfpo_rollouts_node,
    make_base_checkpoint,
    supervised_node,
    train_gfpo_node,
    train_grpo_node,
)


def create_base_pipeline() -> Pipeline:
    """Return the pipeline that makes the base model."""
    return Pipeline(
        [
            Node(
                make_base_checkpoint,
                ["problems", "trace_sets", "base_work", "params:model", "params:tags", "params:seed"],
                "base_model",
                name="make_base_checkpoint",
            )
        ]
    )


def create_supervised_pipeline(method: str) -> Pipeline:
    """Return the training of one supervised method."""
    node = Node(
        supervised_node(method),
        ["trace_sets", "base_model", "work", "params:supervised", "params:train", "params:model", "params:seed"],
        ["checkpoint", "training_log", "matching"],
        name="train",
        tags=f"train_{method}",
    )
    return Pipeline(
        [node],
        namespace=method,
        inputs={"trace_sets", "base_model"},
        parameters={"params:supervised", "params:model", "params:seed"},
    )


def create_grpo_pipeline() -> Pipeline:
    """Return the training of grpo."""
    node = Node(
        train_grpo_node,
        [
            "problems",
            "parent",
            "work",
            "params:train",
            "params:rollouts",
            "params:model",
            "params:verification",
            "params:seed",
        ],
        ["checkpoint", "training_log", "rewards"],
        name="train",
        tags="train_grpo",
    )
    return Pipeline(
        [node],
        namespace="grpo",
        inputs=_from_parent("grpo"),
        parameters={"params:rollouts", "params:model", "params:verification", "params:seed"},
    )


def create_gfpo_pipeline() -> Pipeline:
    """Return the rollouts and the training of gfpo."""
    nodes = [
        Node(
            gfpo_rollouts_node,
            ["problems", "parent", "params:train.scope", "params:rollouts", "params:model", "params:verification"],
            "rewards",
            name="rollouts",
        ),
        Node(
            train_gfpo_node,
            [
                "problems",
                "parent",
                "rewards",
                "work",
                "params:train",
                "params:rollouts",
                "params:model",
                "params:seed",
            ],
            ["checkpoint", "training_log"],
            name="train",
        ),
    ]
    return Pipeline(
        nodes,
        namespace="gfpo",
        inputs=_from_parent("gfpo"),
        parameters={"params:rollouts", "params:model", "params:verification", "params:seed"},
        tags="train_gfpo",
    )


def _from_parent(method: str) -> dict[str, str]:
    return {"problems": "problems", "parent": f"{POLICY[method]}.checkpoint"}


def create_training_pipelines() -> dict[str, Pipeline]:
    """Return the training of every method by its name."""
    return {
        **{method: create_supervised_pipeline(method) for method in SUPERVISED},
        "grpo": create_grpo_pipeline(),
        "gfpo": create_gfpo_pipeline(),
    }
