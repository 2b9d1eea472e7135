"""Wiring of problems to trace sets."""

from kedro.pipeline import Pipeline

from forkpipe.generation.clustering import cluster_strategies
from forkpipe.generation.collecting import report_generation
from forkpipe.generation.generating import generate_traces
from forkpipe.generation.selecting import build_trace_sets
from forkpipe.pipelines.implementations import clusterer_of, teachers_of
from forkpipe.pipelines.inputs import inputs
from forkpipe.pipelines.nodes import concatenate
from forkpipe.pipelines.stages import StageNode
from forkpipe.pipelines.trace_generation.nodes import verify_traces
from kedro_provenance.recipes import implementations


def create_pipeline() -> Pipeline:
    """Return the pipeline `trace_generation`, without the problems it starts from."""
    return Pipeline(
        [
            StageNode(
                implementations(teachers_of)(generate_traces),
                inputs(
                    "problems",
                    "params:verification",
                    "params:strategies",
                    "params:parallel",
                    settings="params:generation",
                ),
                ["traces", "generation_totals", "rejected_requests"],
                stores={"store": "trace_store", "verdicts": "verdict_store", "clusters": "strategy_store"},
                box="data.trace_generation",
            ),
            StageNode(
                verify_traces,
                inputs("traces", "problems", "params:parallel", settings="params:verification"),
                "verdicts",
                stores={"store": "verdict_store"},
                box="data.trace_generation",
            ),
            StageNode(
                implementations(clusterer_of)(cluster_strategies),
                inputs(
                    "traces",
                    "verdicts",
                    "problems",
                    "params:generation",
                    "params:parallel",
                    settings="params:strategies",
                ),
                ["strategies", "rejected_traces", "strategy_agreement"],
                stores={"store": "strategy_store"},
                box="data.trace_generation",
            ),
            StageNode(
                build_trace_sets,
                inputs(
                    "problems",
                    "traces",
                    "strategies",
                    "params:generation",
                    "params:model",
                    "params:seed",
                    "params:parallel",
                    settings="params:trace_sets",
                ),
                ["trace_sets", "rejected_sets", "trace_set_totals"],
                box="data.trace_generation",
            ),
            StageNode(
                concatenate,
                inputs(
                    "rejected_problems", "rejected_overlaps", "rejected_requests", "rejected_traces", "rejected_sets"
                ),
                "rejected",
                name="collect_rejected",
                box="data",
            ),
            StageNode(
                report_generation,
                inputs("traces", "verdicts", "trace_sets", totals="generation_totals", settings="params:generation"),
                "generation_report",
                box="data.trace_generation",
            ),
        ],
        tags="trace_generation",
    )
