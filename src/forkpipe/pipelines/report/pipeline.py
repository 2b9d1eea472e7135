"""Wiring of the report."""

from kedro.pipeline import Pipeline

from forkpipe.pipelines.inputs import inputs
from forkpipe.pipelines.report.nodes import make_report_node
from forkpipe.pipelines.stages import StageNode
from forkpipe.report.figures.registry import FIGURES, INPUTS, make_figures


def create_pipeline() -> Pipeline:
    """Return the pipeline `report`."""
    return Pipeline(
        [
            StageNode(
                make_figures,
                inputs(*INPUTS),
                {name: f"figure_{name}" for name in FIGURES},
                name="make_figures",
                box="report",
            ),
            StageNode(
                make_report_node,
                inputs(
                    "comparison",
                    "scores",
                    "problems",
                    "tag_information",
                    "strategy_agreement",
                    "generation_report",
                    "params:environment",
                    "params:seed",
                    settings="params:evaluation",
                    **{f"figure__{name}": f"figure_{name}" for name in FIGURES},
                ),
                "report",
                name="make_report",
                box="report",
            ),
        ],
        tags="report",
    )
