"""Nodes of evaluation: sample every checkpoint, score the samples, compare the methods."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from forkpipe.core.rows import ComparisonRow, GenerationRow, MetricRow
from forkpipe.evaluation.budgets import training_budgets, validation_samples
from forkpipe.evaluation.metrics import compare
from forkpipe.evaluation.sample_texts import sample_texts
from forkpipe.evaluation.samples import first_seed
from forkpipe.evaluation.sampling import evaluated, sample_checkpoint
from forkpipe.evaluation.seeds import metrics_over_seeds, with_pairs
from forkpipe.evaluation.tag_information import information_over_seeds
from forkpipe.parameters import EvaluationSettings, GenerationSettings, ModelSettings, TagSettings
from forkpipe.parameters.methods import BASE, TAGGED
from forkpipe.pipelines.implementations import checkpoints_sampled_by
from forkpipe.pipelines.inputs import grouped
from forkpipe.stores.completions import CompletionStore
from kedro_provenance.recipes import implementations


def generate_node(method: str) -> Callable[..., list[GenerationRow]]:
    """Return the node that samples the checkpoint of one method.

    A method with several tags is sampled under each of them and under its own, another one under its plain tag, and the
    base model without a tag.
    """
    policies = {"by_tag": method != BASE, "own": method in TAGGED, "untagged": method == BASE}

    @implementations(checkpoints_sampled_by)
    def generate(
        checkpoint: Path,
        problems: Any,
        settings: EvaluationSettings,
        tags: TagSettings,
        model: ModelSettings,
        seed: int,
        *,
        store: CompletionStore,
    ) -> list[GenerationRow]:
        chosen = evaluated(problems.to_pylist(), settings.limit)
        total = settings.samples_per_tag * tags.n
        return sample_checkpoint(
            method, checkpoint, chosen, settings, model.prompt, total, seed=seed, store=store, **policies
        )

    generate.__name__ = f"generate_{method}"
    generate.__doc__ = f"Sample the checkpoint of {method} on the evaluation splits."
    return generate


def compute_metrics_node(scores: Any, matchings: Any, settings: EvaluationSettings, seed: int) -> list[MetricRow]:
    """Return rows of `metrics` for all methods."""
    return metrics_over_seeds(scores, matchings, ks=settings.pass_at, seed=seed)


def compare_node(metrics: Any, scores: Any, training_logs: Any) -> list[ComparisonRow]:
    """Return rows of `comparison`."""
    return with_pairs(compare(metrics, training_budgets(training_logs), validation_samples(scores)), metrics)


def tag_information_node(
    trace_sets: Any, matchings: Any, generation: GenerationSettings, seed: int, **generations: Any
) -> dict[str, Any]:
    """Return how much the tags tell about strategies, from what training matched and what the models write."""
    labels = {name: teacher.strategy or name for name, teacher in generation.asked.items()}
    return information_over_seeds(trace_sets, matchings, grouped("generations", generations), labels, seed)


def sample_texts_node(scores: Any, problems: Any, **generations: Any) -> list[dict[str, Any]]:
    """Return the sample texts that the report shows, of the first training seed."""
    return sample_texts(grouped("generations", generations), first_seed(scores), problems)
