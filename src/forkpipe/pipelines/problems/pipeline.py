"""Wiring of raw problems to problems that overlap no evaluation set."""

from kedro.pipeline import Pipeline

from forkpipe.parameters import Comparison
from forkpipe.pipelines.implementations import verifiers_of
from forkpipe.pipelines.inputs import inputs
from forkpipe.pipelines.stages import StageNode
from forkpipe.problems.benchmark_rows import load_benchmarks
from forkpipe.problems.decontamination import remove_overlaps
from forkpipe.problems.raw_rows import normalise_problems
from kedro_provenance.recipes import implementations


def create_pipeline(comparison: Comparison) -> Pipeline:
    """Return the pipeline `problems`; without benchmarks in use, no node of it reads `benchmark_problems`."""
    benchmarks = {"benchmarks": "benchmark_problems"} if comparison.benchmarks.use else {}
    return Pipeline(
        [
            StageNode(
                implementations(verifiers_of)(normalise_problems),
                inputs("params:verification", raw="raw_problems", settings="params:problems"),
                ["normalised_problems", "rejected_problems"],
                box="data.problems",
            ),
            StageNode(
                load_benchmarks,
                inputs(settings="params:benchmarks"),
                "benchmark_problems",
                box="data.problems",
            ),
            StageNode(
                remove_overlaps,
                inputs(
                    problems="normalised_problems",
                    evaluation="evaluation_sets",
                    settings="params:decontamination",
                )
                | benchmarks,
                ["problems", "overlaps", "rejected_overlaps", "decontamination"],
                box="data.problems",
            ),
        ],
        tags="problems",
    )
