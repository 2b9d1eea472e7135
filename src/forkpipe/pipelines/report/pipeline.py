"""Wiring of the report."""

from kedro.pipeline import Pipeline

from forkpipe.parameters import Comparison
from forkpipe.pipelines.inputs import inputs
from forkpipe.pipelines.stages import StageNode
from forkpipe.report.figures.registry import FIGURES, INPUTS, make_figures
from forkpipe.report.page import make_report


def create_pipeline(comparison: Comparison) -> Pipeline:
    """Return the pipeline `report`; without benchmarks in use, their figures are drawn from no table."""
    drawn = [name for name in INPUTS if name != "benchmark_metrics" or comparison.benchmarks.use]
    return Pipeline(
        [
            StageNode(
                make_figures,
                inputs(*drawn),
                {name: f"figure_{name}" for name in FIGURES},
                box="report",
            ),
            StageNode(
                make_report,
                inputs(
                    "comparison",
                    "scores",
                    "training_logs",
                    "matchings",
                    "sample_texts",
                    "problems",
                    "tag_information",
                    "strategy_agreement",
                    "generation_report",
                    "trace_set_totals",
                    "params:environment",
                    "params:seed",
                    "params:missing_methods",
                    *(f"figure_{name}" for name in FIGURES),
                    settings="params:evaluation",
                ),
                "report",
                name="make_report",
                box="report",
            ),
        ],
        tags="report",
    )
