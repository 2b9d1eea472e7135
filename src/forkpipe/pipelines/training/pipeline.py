"""Wiring of training: two factories make all methods, each in a namespace of its own name."""

from kedro.pipeline import Node, Pipeline

from forkpipe.parameters.methods import POLICY, SUPERVISED
from forkpipe.pipelines.training.nodes import make_base_checkpoint, policy_node, supervised_node


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


def create_policy_pipeline(method: str) -> Pipeline:
    """Return the training of one method of reinforcement learning."""
    node = Node(
        policy_node(method),
        [
            "problems",
            "trace_sets",
            "parent",
            "work",
            "rollout_store",
            "params:train",
            "params:rollouts",
            "params:model",
            "params:verification",
            "params:seed",
        ],
        ["checkpoint", "training_log", "rewards"],
        name="train",
        tags=f"train_{method}",
    )
    return Pipeline(
        [node],
        namespace=method,
        inputs={"problems": "problems", "trace_sets": "trace_sets", "parent": f"{POLICY[method]}.checkpoint"},
        parameters={"params:rollouts", "params:model", "params:verification", "params:seed"},
    )


def create_training_pipelines() -> dict[str, Pipeline]:
    """Return the training of every method by its name."""
    return {
        **{method: create_supervised_pipeline(method) for method in SUPERVISED},
        **{method: create_policy_pipeline(method) for method in POLICY},
    }
