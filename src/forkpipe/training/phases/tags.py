"""A phase of kind tags: GFPO, which trains the policy over tags from checkpoint to checkpoint with GFPOTrainer."""

import copy
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.core.ids import content_hash
from forkpipe.core.progress import Progress
from forkpipe.core.records import Completion, Request
from forkpipe.core.rows import RewardColumns, StepColumns
from forkpipe.models.adapters import lora_config, merged
from forkpipe.models.checkpoint import Checkpoint, save_checkpoint
from forkpipe.models.router import router_adapter, save_router
from forkpipe.models.scopes import check_head_scope, head_rows
from forkpipe.parameters import FoldPhase, TagsPhase
from forkpipe.parameters.trainers import GFPOFields, values_of
from forkpipe.training.anchors import make_anchor, matched_traces, written_sequences
from forkpipe.training.config import GFPOConfig
from forkpipe.training.gfpo import GFPOTrainer
from forkpipe.training.jobs import MetricCallback, clear, computes_bf16, phase_arguments, run, unfinished
from forkpipe.training.logs import logged_columns
from forkpipe.training.phases.base import Context, PhaseResult
from forkpipe.training.phases.rewards import reward_table, rewards_by_tag


def check_parent(parent: Checkpoint, scope: str) -> None:
    """Raise InputError if a checkpoint cannot be trained in the scope, before a rollout is drawn."""
    if parent.has_router:
        raise InputError(f"{parent.name} has a router, which a phase of kind tags would drop: expected one without")
    if scope == "head":
        check_head_scope(parent.tags, parent.config.tie_word_embeddings)


def train_tags(
    parent: Checkpoint, folder: Path, work: Path, settings: TagsPhase, steps: int, job: str, context: Context
) -> PhaseResult:
    """Train the tag policy of `parent` on rewards under every tag; writes the new checkpoint to `folder`.

    A training that was killed resumes from its last checkpoint in `work` if it is called again for the same job.

    Args:
        parent: SSFT checkpoint; scope head needs special tags and an untied output matrix.
        work: folder for the trainer's own checkpoints, which are deleted at the end.
        job: hash of everything that the training depends on.
    """
    check_parent(parent, settings.scope)
    going_on = unfinished(work, job)
    tables = RewardRounds(parent, work, settings, steps, job, context)
    first = tables.round(0)
    model, tokenizer, tags = parent.load_model(to_device=True), parent.tokenizer, parent.tags
    anchor = None
    if settings.anchor is not None:
        if settings.anchor.kind == "kl":
            sequences = written_sequences(tables.answered, tokenizer)
        else:
            sequences = matched_traces(context.sets, model, tokenizer, tags, context.template)
        anchor = make_anchor(
            settings.anchor,
            model,
            tokenizer,
            sequences,
            seed=context.seed,
            adapter=settings.scope == "lora",
            bf16=computes_bf16(settings.bf16),
        )
    # With a budget of less than one group per problem, some problems have no rollouts and cannot be trained on.
    chosen = [problem for problem in context.problems if problem.problem_id in first]
    trainer = GFPOTrainer(
        model,
        policy_config(work, settings, steps, context, **values_of(settings, GFPOFields)),
        processing_class=tokenizer,
        tags=tags,
        train_dataset=[{"problem": problem.problem, "rewards": first[problem.problem_id]} for problem in chosen],
        peft_config=_adapter(model, tags, settings),
        anchor=anchor,
    )
    if settings.refresh_every is not None:
        trainer.add_callback(_RefreshCallback(trainer, tables, [problem.problem_id for problem in chosen]))
    run(
        trainer,
        context.method,
        MetricCallback(Progress(context.method, steps, unit="steps"), "reward", "expected reward"),
        going_on,
    )
    if settings.scope == "router":
        save_router(trainer.model, folder)
        trained = trainer.model.unload()  # the parent model, without the adapter
    else:
        trained = merged(trainer.model)
    parent.save_successor(folder, trained, context.seed)
    clear(work)
    return PhaseResult(log_rows(trainer.state.log_history, tags.n, tables.drawn_at), tables.rows)


class RewardRounds:
    """The rewards that a phase trains on: one table if no completion changes, otherwise a new one every few steps.

    Attributes:
        rows: rows of the `rewards` table, of all rounds so far.
        answered: requests and completions of the first round.
        drawn_at: for a step, how many rollouts were drawn just before it.
    """

    def __init__(
        self, parent: Checkpoint, work: Path, settings: TagsPhase, steps: int, job: str, context: Context
    ) -> None:
        self.rows: list[RewardColumns] = []
        self.answered: list[tuple[Request, Completion]] = []
        self.drawn_at: dict[int, int] = {}
        self.every = settings.refresh_every or steps
        self._parent, self._work, self._job, self._context, self._steps = parent, work, job, context, steps

    def round(self, number: int, save_policy: Callable[[Path], None] | None = None) -> dict[str, list[list[float]]]:
        """Return the rewards by tag of each problem id; `save_policy` writes the current policy, which is sampled.

        The rounds before the point from which a training resumes are complete in the store and need no policy.
        """
        start = number * self.every
        rollouts = self._context.rollouts.total(min(self.every, self._steps - start))
        policy, asked_of = self._parent.folder, self._parent.digest
        if number:
            policy, asked_of = self._work / "policy", content_hash("round", self._job, number)
            shutil.rmtree(policy, ignore_errors=True)
            if save_policy is not None:
                save_policy(policy)
        rows, answered = reward_table(
            policy, self._context, tags_of=self._parent, rollouts=rollouts, asked_of=asked_of, version=start
        )
        self.rows += rows
        self.drawn_at[start + 1] = len(rows)
        if not number:
            self.answered = answered
        return rewards_by_tag(rows, 1 + max(row["tag"] for row in rows))


class _RefreshCallback(TrainerCallback):
    """Gives the trainer a new table at the beginning of each round."""

    def __init__(self, trainer: GFPOTrainer, tables: RewardRounds, problem_ids: Sequence[str]) -> None:
        self.trainer, self.tables, self.problem_ids = trainer, tables, problem_ids

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Repeat the rounds before the step from which a training resumes."""
        for number in range(1, -(-state.global_step // self.tables.every)):
            self._use(number, None)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Draw new rollouts at the beginning of a round."""
        number, within = divmod(state.global_step, self.tables.every)
        if number and not within:
            self._use(number, self._save)

    def _use(self, number: int, save_policy: Callable[[Path], None] | None) -> None:
        table = self.tables.round(number, save_policy)
        self.trainer.set_rewards([table.get(problem_id) for problem_id in self.problem_ids])

    def _save(self, folder: Path) -> None:
        trainer = self.trainer
        policy = merged(copy.deepcopy(trainer.accelerator.unwrap_model(trainer.model)))
        save_checkpoint(folder, policy, trainer.processing_class, trainer.tags, base="policy", revision="")


def _adapter(model: Any, tags: ForkingTags, settings: TagsPhase) -> Any:
    if settings.scope == "head":
        return head_rows(model, tags)
    if settings.scope == "router":
        return router_adapter(model, tags, settings.adapter)
    return lora_config(settings.adapter) if settings.scope == "lora" else None


def policy_config(work: Path, settings: TagsPhase | FoldPhase, steps: int, context: Context, **more: Any) -> GFPOConfig:
    """Return the trainer's configuration of a phase that trains the policy over tags."""
    return GFPOConfig(
        draws=context.rollouts.group_size,
        anchor_weight=settings.anchor.weight if settings.anchor else 0.0,
        prompt=context.template,
        **phase_arguments(work, settings, steps, context.rollouts.problems_per_step, context.seed),
        **more,
    )


def log_rows(history: Sequence[dict[str, Any]], n_tags: int, drawn_at: dict[int, int]) -> list[StepColumns]:
    """Return the rows of the table `training_log`, one per step; no trace token is trained, so tokens are 0."""
    return [
        {
            **logged_columns(logs),
            "step": logs["step"],
            "tokens": 0,
            "rollouts": drawn_at.get(logs["step"], 0),
            "groups": int(logs["groups"]),
            "groups_skipped": int(logs["groups_skipped"]),
            "tag_usage": [logs[f"usage_{i + 1}"] for i in range(n_tags)],
        }
        for logs in history
        if "loss" in logs
    ]
