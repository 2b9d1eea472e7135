"""Nodes of training: read tables, call one trainer, name the rows.

torch is imported inside the nodes: listing pipelines must not load it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.progress import logger
from forkpipe.core.records import Assignment, Problem, TraceSet
from forkpipe.core.rows import MatchingRow, RewardRow, TrainingLogRow
from forkpipe.parameters import (
    ModelSettings,
    RolloutSettings,
    Schedule,
    SupervisedSettings,
    TagSettings,
    VerificationSettings,
    supervised_settings,
)
from forkpipe.parameters.recipes import doubts
from forkpipe.pipelines.implementations import rollouts_made_by
from forkpipe.pipelines.nodes import concatenate_methods
from forkpipe.stores.completions import CompletionStore
from forkpipe.stores.groups import source_of
from kedro_provenance.recipes import implementations

STAGING = "checkpoint"
"""Folder within a work folder where a checkpoint is written before it is moved into place."""


def make_base_checkpoint(
    problems: Any, trace_sets: Any, model: ModelSettings, tags: TagSettings, seed: int, *, work: Path
) -> Path:
    """Write the checkpoint that every method starts from."""
    from forkpipe.models.base_model import make_base_model

    texts = [*problems.column("problem").to_pylist(), model.prompt.replace("{problem}", "")]
    for batch in source_of(trace_sets).batches(["traces"]):
        texts += batch.column("traces").flatten().field("text").to_pylist()
    make_base_model(work / STAGING, model, tags, texts, seed)
    return work / STAGING


def supervised_node(method: str, assignment: Assignment) -> Callable[..., Any]:
    """Return the node that trains one supervised method."""

    def train(
        trace_sets: Any,
        base: Path,
        common: SupervisedSettings,
        own: dict[str, Any],
        model: ModelSettings,
        seed: int,
        *,
        work: Path,
    ) -> tuple[Path, list[TrainingLogRow], list[MatchingRow]]:
        from forkpipe.training.supervised import train_supervised

        sets, settings = sets_of("train", trace_sets), supervised_settings(common, own)
        for doubt in doubts(settings, len(sets), model):
            logger.warning("%s: %s", method, doubt)
        result = train_supervised(
            method,
            base,
            work / STAGING,
            work / "trainer",
            sets,
            settings,
            assignment,
            model.prompt,
            seed,
            held_out=sets_of("validation", trace_sets),
        )
        log: list[TrainingLogRow] = [{"method": method, **row} for row in result.training_log]
        return work / STAGING, log, [{"method": method, **row} for row in result.matching]

    train.__name__ = f"train_{method}"
    train.__doc__ = f"Train {method} on the trace sets; returns checkpoint, training log and matchings."
    return train


def policy_node(method: str) -> Callable[..., Any]:
    """Return the node that trains one method of reinforcement learning."""

    @implementations(rollouts_made_by)
    def train(
        problems: Any,
        trace_sets: Any,
        parent: Path,
        schedule: Schedule,
        rollouts: RolloutSettings,
        model: ModelSettings,
        verification: VerificationSettings,
        seed: int,
        *,
        work: Path,
        store: CompletionStore,
    ) -> tuple[Path, list[TrainingLogRow], list[RewardRow]]:
        from forkpipe.training.phases.base import Context
        from forkpipe.training.phases.rewards import verifying
        from forkpipe.training.phases.schedule import train_policy

        with verifying(verification) as verify:
            context = Context(
                method,
                rl_problems(problems),
                sets_of("train", trace_sets),
                verify,
                rollouts,
                store,
                model.prompt,
                seed,
                verification.decides,
            )
            result = train_policy(parent, work / STAGING, work, schedule, context)
        log: list[TrainingLogRow] = [{"method": method, **row} for row in result.log]
        return work / STAGING, log, [{"method": method, **row} for row in result.rewards]

    train.__name__ = f"train_{method}"
    train.__doc__ = f"Train {method} through its phases; returns checkpoint, training log and rewards."
    return train


def collect_training(seed: int, **tables: Any) -> dict[str, Any]:
    """Return one table a kind, from the tables of all methods; `rewards` is empty where no method has any."""
    return {"rewards": []} | concatenate_methods(seed, **tables)


def sets_of(split: str, trace_sets: Any) -> list[TraceSet]:
    """Return the sets of one split: only those of split train are ever trained on."""
    import pyarrow.compute as pc  # slow to import, so only where it is used

    batches = source_of(trace_sets).batches(list(trace_sets.column_names))
    parts = (batch.filter(pc.equal(batch.column("split"), split)) for batch in batches)
    return [TraceSet.from_row(row) for part in parts for row in part.to_pylist()]


def rl_problems(problems: Any) -> list[Problem]:
    """Return the problems of split rl; InputError where there is none."""
    chosen = [Problem.from_row(row) for row in problems.to_pylist() if row["split"] == "rl"]
    if not chosen:
        raise InputError("no problem is in split rl, expected at least one: see problems.shares")
    return chosen
