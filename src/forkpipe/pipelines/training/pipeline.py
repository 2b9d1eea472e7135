"""Wiring of training: the base model, then a node for each method, in a namespace of the method's name."""

from kedro.pipeline import Node, Pipeline

from forkpipe.parameters.methods import POLICY, SUPERVISED
from forkpipe.pipelines.inputs import inputs
from forkpipe.pipelines.training.nodes import make_base_checkpoint, policy_node, supervised_node


def create_base_pipeline() -> Pipeline:
    """Return the pipeline that makes the base model."""
    return Pipeline(
        [
            Node(
                make_base_checkpoint,
                inputs("problems", "trace_sets", "params:model", "params:tags", "params:seed", work="base_work"),
                "base_model",
                name="make_base_checkpoint",
            )
        ]
    )


def create_supervised_pipeline(method: str) -> Pipeline:
    """Return the training of one supervised method."""
    node = Node(
        supervised_node(method, SUPERVISED[method]),
        inputs(
            "trace_sets",
            "params:model",
            "params:seed",
            base="base_model",
            work=f"{method}.work",
            common="params:supervised",
            own=f"params:{method}.train",
        ),
        [f"{method}.checkpoint", f"{method}.training_log", f"{method}.matching"],
        name="train",
        namespace=method,
        tags=f"train_{method}",
    )
    return Pipeline([node])


def create_policy_pipeline(method: str) -> Pipeline:
    """Return the training of one method of reinforcement learning."""
    node = Node(
        policy_node(method),
        inputs(
            "problems",
            "trace_sets",
            "params:rollouts",
            "params:model",
            "params:verification",
            "params:seed",
            parent=f"{POLICY[method]}.checkpoint",
            work=f"{method}.work",
            store=f"{method}.rollout_store",
            schedule=f"params:{method}.train",
        ),
        [f"{method}.checkpoint", f"{method}.training_log", f"{method}.rewards"],
        name="train",
        namespace=method,
        tags=f"train_{method}",
    )
    return Pipeline([node])


def create_training_pipelines() -> dict[str, Pipeline]:
    """Return the training of every method by its name."""
    return {
        **{method: create_supervised_pipeline(method) for method in SUPERVISED},
        **{method: create_policy_pipeline(method) for method in POLICY},
    }
