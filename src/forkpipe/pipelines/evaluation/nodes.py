"""Nodes of evaluation: sample every checkpoint, score the samples, compare the methods."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from forkpipe.core.progress import Progress
from forkpipe.core.records import Problem
from forkpipe.evaluation.sampling import sample_checkpoint
from forkpipe.parameters import EvaluationSettings, GenerationSettings, ModelSettings, TagSettings, VerificationSettings
from forkpipe.parameters.methods import MATCHED, METHODS, SUPERVISED, TAGGED, lineage
from forkpipe.pipelines.implementations import checkpoints_sampled_by, verifiers_of
from forkpipe.stores.completions import CompletionStore
from forkpipe.verification.rows import verify_responses
from kedro_provenance.recipes import implementations

Row = dict[str, Any]


def generate_node(method: str) -> Callable[..., list[Row]]:
    """Return the node that samples the checkpoint of one method."""

    @implementations(checkpoints_sampled_by)
    def generate(
        checkpoint: Path,
        problems: Any,
        store: CompletionStore,
        settings: EvaluationSettings,
        tags: TagSettings,
        model: ModelSettings,
        seed: int,
    ) -> list[Row]:
        chosen = [Problem.from_row(row) for row in problems.to_pylist() if row["split"] in ("validation", "test")]
        total = settings.samples_per_tag * tags.n
        return sample_checkpoint(
            method, checkpoint, chosen, settings, model.prompt, total, own=method in TAGGED, seed=seed, store=store
        )

    generate.__name__ = f"generate_{method}"
    generate.__doc__ = f"Sample the checkpoint of {method} on the evaluation splits."
    return generate


@implementations(verifiers_of)
def score_generations(generations: Any, problems: Any, settings: VerificationSettings) -> list[Row]:
    """Return a verdict for every sample."""
    rows = generations.to_pylist()
    progress = Progress("score samples", len(rows), unit="samples")
    verdicts = verify_responses(rows, problems.to_pylist(), settings, progress)
    columns = ("method", "problem_id", "split", "policy", "tag", "tag_source", "sample", "tokens")
    return [
        {**{column: row[column] for column in columns}, **verdict} for row, verdict in zip(rows, verdicts, strict=True)
    ]


def compute_metrics_node(settings: EvaluationSettings, seed: int, *tables: Any) -> list[Row]:
    """Return rows of `metrics` for all methods.

    Args:
        settings: see `parameters.EvaluationSettings`.
        seed: of the run.
        *tables: the scores of every method, then the matchings of `MATCHED`, in the order of each.
    """
    from forkpipe.evaluation.metrics import compute_metrics
    from forkpipe.evaluation.samples import covering_tag

    scores, matchings = tables[: len(METHODS)], dict(zip(MATCHED, tables[len(METHODS) :], strict=True))
    covering = {
        method: covering_tag(matchings[one]) for method in METHODS for one in lineage(method) if one in matchings
    }
    return compute_metrics(scores, ks=settings.pass_at, resamples=settings.bootstrap, seed=seed, covering=covering)


def compare_node(metrics: Any, *tables: Any) -> list[Row]:
    """Return rows of `comparison`.

    Args:
        metrics: the table.
        *tables: the scores of every method, then the training logs of every method, in the order of `METHODS`.
    """
    from forkpipe.evaluation.metrics import compare

    scores = dict(zip(METHODS, tables[: len(METHODS)], strict=True))
    logs = dict(zip(METHODS, tables[len(METHODS) :], strict=True))
    budgets = {
        method: {
            # What a method's parent was trained on counts for it too.
            column: sum(sum(value or 0 for value in logs[one].column(name).to_pylist()) for one in lineage(method))
            for column, name in (("tokens_trained", "tokens"), ("rollouts", "rollouts"))
        }
        for method in METHODS
    }
    validation = {
        method: sum(
            split == "validation" and policy == "by_tag"
            for split, policy in zip(
                scores[method].column("split").to_pylist(), scores[method].column("policy").to_pylist(), strict=True
            )
        )
        for method in METHODS
    }
    return compare(metrics, budgets, validation)


def tag_information_node(trace_sets: Any, generation: GenerationSettings, *tables: Any) -> dict[str, Any]:
    """Return how much the tags tell about strategies, from the matchings and from what the models write.

    Args:
        trace_sets: the table.
        generation: for the strategies that teachers are known to use.
        *tables: the matchings of every supervised method, then the generations of every method.
    """
    from forkpipe.evaluation.tag_information import tag_information

    matchings = dict(zip(SUPERVISED, tables[: len(SUPERVISED)], strict=True))
    matchings.pop("sft")  # one tag: nothing is matched
    generations = dict(zip(METHODS, tables[len(SUPERVISED) :], strict=True))
    labels = {name: teacher.strategy or name for name, teacher in generation.asked.items()}
    return tag_information(trace_sets, matchings, generations, labels)
