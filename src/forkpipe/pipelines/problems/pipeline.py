"""Wiring of raw problems to problems that overlap no evaluation set."""

from kedro.pipeline import Node, Pipeline

from forkpipe.pipelines.implementations import verifiers_of
from forkpipe.problems.decontamination import remove_overlaps
from forkpipe.problems.raw_rows import normalise_problems
from kedro_provenance.recipes import implementations


def create_pipeline() -> Pipeline:
    """Return the pipeline `problems`."""
    return Pipeline(
        [
            Node(
                implementations(verifiers_of)(normalise_problems),
                inputs=["raw_problems", "params:problems", "params:verification"],
                outputs=["normalised_problems", "rejected_problems"],
                name="normalise_problems",
            ),
            Node(
                remove_overlaps,
                inputs=["normalised_problems", "evaluation_sets", "params:decontamination"],
                outputs=["problems", "overlaps", "rejected_overlaps", "decontamination"],
                name="remove_overlaps",
            ),
        ],
        tags="problems",
    )
