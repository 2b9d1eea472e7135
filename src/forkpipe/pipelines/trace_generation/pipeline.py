"""Wiring of problems to trace sets."""

from kedro.pipeline import Node, Pipeline

from forkpipe.generation.collecting import report_generation
from forkpipe.pipelines.trace_generation.nodes import (
    build_trace_sets,
    cluster_strategies,
    collect_rejected,
    generate_traces,
    verify_traces,
)


def create_pipeline() -> Pipeline:
    """Return the pipeline `trace_generation`, without the problems it starts from."""
    return Pipeline(
        [
            Node(
                generate_traces,
                ["problems", "trace_store", "params:generation", "params:verification"],
                ["traces", "generation_totals"],
                name="generate_traces",
            ),
            Node(verify_traces, ["traces", "problems", "params:verification"], "verdicts", name="verify_traces"),
            Node(
                cluster_strategies,
                ["traces", "verdicts", "problems", "params:strategies", "params:generation"],
                ["strategies", "rejected_traces", "strategy_agreement"],
                name="cluster_strategies",
            ),
            Node(
                build_trace_sets,
                ["problems", "traces", "strategies", "params:trace_sets", "params:generation", "params:seed"],
                ["trace_sets", "rejected_sets"],
                name="build_trace_sets",
            ),
            Node(
                collect_rejected,
                ["rejected_problems", "rejected_overlaps", "rejected_traces", "rejected_sets"],
                "rejected",
                name="collect_rejected",
            ),
            Node(
                report_generation,
                ["generation_totals", "traces", "verdicts", "trace_sets", "params:generation"],
                "generation_report",
                name="report_generation",
            ),
        ],
        tags="trace_generation",
    )
