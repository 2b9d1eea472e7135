"""Wiring of the report."""

from kedro.pipeline import Pipeline

from forkpipe.parameters.methods import MATCHED, METHODS
from forkpipe.pipelines.inputs import inputs, per_method
from forkpipe.pipelines.report.nodes import make_figures_node, make_report_node
from forkpipe.pipelines.stages import StageNode
from forkpipe.report.figures.registry import FIGURES, INPUTS

BY_METHOD = {
    "scores": per_method("scores", METHODS),
    "training_log": per_method("training_log", METHODS),
    "matching": per_method("matching", MATCHED),
}
"""Inputs of figures that are a table for each method."""


def create_pipeline() -> Pipeline:
    """Return the pipeline `report`."""
    tables = {argument: dataset for name in INPUTS for argument, dataset in BY_METHOD.get(name, {name: name}).items()}
    return Pipeline(
        [
            StageNode(
                make_figures_node,
                tables,
                {name: f"figure_{name}" for name in FIGURES},
                name="make_figures",
                box="report",
            ),
            StageNode(
                make_report_node,
                inputs(
                    "comparison",
                    "problems",
                    "tag_information",
                    "strategy_agreement",
                    "generation_report",
                    "params:environment",
                    "params:seed",
                    settings="params:evaluation",
                    **{f"figure__{name}": f"figure_{name}" for name in FIGURES},
                    **BY_METHOD["scores"],
                ),
                "report",
                name="make_report",
                box="report",
            ),
        ],
        tags="report",
    )
