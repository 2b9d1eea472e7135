"""Wiring of training: the base model, then a node for each method, in a box of the method's name."""

from kedro.pipeline import Pipeline

from forkpipe.parameters import Comparison
from forkpipe.parameters.methods import POLICY, SUPERVISED
from forkpipe.pipelines.inputs import inputs, per_method
from forkpipe.pipelines.stages import StageNode
from forkpipe.pipelines.training.nodes import collect_training, make_base_checkpoint, policy_node, supervised_node


def create_base_pipeline() -> Pipeline:
    """Return the pipeline that makes the base model."""
    node = StageNode(
        make_base_checkpoint,
        inputs("problems", "trace_sets", "params:model", "params:tags", "params:seed"),
        "base_model",
        stores={"work": "base_work"},
        box="training",
    )
    return Pipeline([node])


def create_supervised_pipeline(method: str) -> Pipeline:
    """Return the training of one supervised method."""
    node = StageNode(
        supervised_node(method, SUPERVISED[method]),
        inputs(
            "trace_sets",
            "params:model",
            "params:seed",
            base="base_model",
            common="params:supervised",
            own=f"params:{method}.train",
        ),
        [f"{method}.checkpoint", f"{method}.training_log", f"{method}.matching"],
        stores={"work": f"{method}.work"},
        name=f"{method}.train",
        box=f"training.{method}",
        tags=f"train_{method}",
    )
    return Pipeline([node])


def create_policy_pipeline(method: str) -> Pipeline:
    """Return the training of one method of reinforcement learning."""
    node = StageNode(
        policy_node(method),
        inputs(
            "problems",
            "trace_sets",
            "params:rollouts",
            "params:model",
            "params:verification",
            "params:seed",
            parent=f"{POLICY[method]}.checkpoint",
            schedule=f"params:{method}.train",
        ),
        [f"{method}.checkpoint", f"{method}.training_log", f"{method}.rewards"],
        stores={"work": f"{method}.work", "store": f"{method}.rollout_store"},
        name=f"{method}.train",
        box=f"training.{method}",
        tags=f"train_{method}",
    )
    return Pipeline([node])


def create_collecting_pipeline(comparison: Comparison) -> Pipeline:
    """Return the pipeline that puts what the trainings have logged into one table a kind."""
    trained, seeds = comparison.trained, comparison.replicates
    node = StageNode(
        collect_training,
        {
            **inputs("params:seed"),
            **per_method("training_log", trained, seeds),
            **per_method("matching", [method for method in trained if method in SUPERVISED], seeds),
            **per_method("rewards", [method for method in trained if method in POLICY], seeds),
        },
        {"training_log": "training_logs", "matching": "matchings", "rewards": "rewards"},
        box="training",
        tags="evaluation",
    )
    return Pipeline([node])


def create_training_pipelines() -> dict[str, Pipeline]:
    """Return the training of every method by its name."""
    return {
        **{method: create_supervised_pipeline(method) for method in SUPERVISED},
        **{method: create_policy_pipeline(method) for method in POLICY},
    }
