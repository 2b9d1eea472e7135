"""Wiring of raw problems to problems."""

from kedro.pipeline import Node, Pipeline

from forkpipe.pipelines.problems.nodes import normalise_problems


def create_pipeline() -> Pipeline:
    """Return the pipeline `problems`."""
    return Pipeline(
        [
            Node(
                normalise_problems,
                inputs=["raw_problems", "params:problems", "params:verification"],
                outputs=["problems", "rejected_problems"],
                name="normalise_problems",
            )
        ],
        tags="problems",
    )
