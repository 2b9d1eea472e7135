"""Wiring of the report."""

from kedro.pipeline import Node, Pipeline

from forkpipe.parameters.methods import MATCHED, METHODS
from forkpipe.pipelines.report.nodes import FIGURES, make_figures_node, make_report_node


def create_pipeline() -> Pipeline:
    """Return the pipeline `report`."""
    scores = [f"{method}.scores" for method in METHODS]
    logs = [f"{method}.training_log" for method in METHODS]
    matchings = [f"{method}.matching" for method in MATCHED]
    figures = [f"figure_{name}" for name in FIGURES]
    tables = ["comparison", "metrics", "tag_information"]
    tables += ["problems", "traces", "verdicts", "strategies", "trace_sets", "rejected"]
    read = ["comparison", "problems", "tag_information", "strategy_agreement", "generation_report"]
    settings = ["params:environment", "params:seed", "params:evaluation"]
    nodes = [
        Node(
            make_figures_node,
            [*tables, *scores, *logs, *matchings],
            figures,
            name="make_figures",
        ),
        Node(
            make_report_node,
            [*read, *settings, *figures, *scores],
            "report",
            name="make_report",
        ),
    ]
    return Pipeline(nodes, tags="report")
