"""The policy over tags from checkpoint to checkpoint: gfpo, on GFPOTrainer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from forkpipe.core.ids import content_hash
from forkpipe.core.records import Problem
from forkpipe.parameters import GFPOSettings, RolloutSettings
from forkpipe.progress import Progress, logger
from forkpipe.training.adapters import merged
from forkpipe.training.checkpoint import checkpoint_digest, load_checkpoint, load_tags, save_checkpoint
from forkpipe.training.gfpo import GFPOConfig, GFPOTrainer
from forkpipe.training.jobs import clear, unfinished
from forkpipe.training.rewards import rewards_by_tag
from forkpipe.training.router import ROUTER_FOLDER, router_adapter
from forkpipe.training.scopes import check_head_scope, head_rows


def check_parent(parent: Path, scope: str) -> None:
    """Raise InputError where a checkpoint cannot be trained in the scope, before a rollout is drawn."""
    from transformers import AutoConfig, AutoTokenizer

    tags = load_tags(parent, AutoTokenizer.from_pretrained(parent))
    if scope == "head":
        check_head_scope(tags, AutoConfig.from_pretrained(parent).tie_word_embeddings)


def train_gfpo(
    parent: Path,
    folder: Path,
    work: Path,
    problems: Sequence[Problem],
    rewards: Sequence[dict[str, Any]],
    settings: GFPOSettings,
    rollouts: RolloutSettings,
    template: str,
    seed: int,
) -> list[dict[str, Any]]:
    """Train the tag policy of `parent` on a reward table; writes the new checkpoint to `folder`.

    A training that was killed goes on from its last checkpoint in `work`, if it is called again with equal arguments.

    Args:
        parent: SSFT checkpoint; scope head needs special tags and an untied output matrix.
        folder: where the new checkpoint goes.
        work: folder for the trainer's own checkpoints, which are deleted at the end.
        problems: the problems of the reward table, or more.
        rewards: rows of the table `rewards`.
        settings: see `parameters.GFPOSettings`.
        rollouts: steps and problems a step, as for GRPO.
        template: prompt template of the student.
        seed: of the order of problems, and of draws.

    Returns:
        Rows of the table `training_log`, without method and run_id.
    """
    model, tokenizer, tags = load_checkpoint(parent)
    table = rewards_by_tag(rewards, tags.n)
    # A budget smaller than one group a problem leaves problems without rollouts: they cannot be trained on.
    rows = [
        {"problem": problem.problem, "rewards": table[problem.problem_id]}
        for problem in problems
        if problem.problem_id in table
    ]
    job = content_hash(checkpoint_digest(parent), rows, settings.model_dump(), rollouts.model_dump(), template, seed)
    going_on = unfinished(work, job)
    trainer = GFPOTrainer(
        model,
        _config(work, settings, rollouts, template, seed),
        processing_class=tokenizer,
        tags=tags,
        train_dataset=rows,
        peft_config=head_rows(model, tags) if settings.scope == "head" else router_adapter(settings.router),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(_ProgressCallback(Progress("gfpo", rollouts.steps, unit="steps")))
    if going_on:
        logger.info("gfpo: goes on from %s", going_on.name)
    trainer.train(resume_from_checkpoint=str(going_on) if going_on else None)
    origin = f"{parent.parent.name}/{parent.name}"
    if settings.scope == "head":
        trained = merged(trainer.model)
    else:
        trainer.model.save_pretrained(folder / ROUTER_FOLDER)
        trained = trainer.model.unload()  # the model as it was, without the adapter
    save_checkpoint(folder, trained, tokenizer, tags, base=origin, revision=f"seed {seed}")
    clear(work)
    log = _log_rows(trainer.state.log_history, tags.n)
    log[0]["rollouts"] = len(rewards)  # all were drawn before the first step
    return log


def _config(work: Path, settings: GFPOSettings, rollouts: RolloutSettings, template: str, seed: int) -> GFPOConfig:
    return GFPOConfig(
        output_dir=str(work),
        objective=settings.objective,
        draws=rollouts.group_size,
        baseline=settings.baseline,
        scale_by_std=settings.scale_by_std,
        kl_weight=settings.kl_weight,
        entropy_weight=settings.entropy_weight,
        prompt=template,
        max_steps=rollouts.steps,
        per_device_train_batch_size=rollouts.problems_per_step,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_grad_norm=settings.max_grad_norm,
        seed=seed,
        data_seed=seed,
        logging_steps=1,
        save_strategy="steps",
        save_steps=settings.save_every,
        save_total_limit=1,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def _log_rows(history: Sequence[dict[str, Any]], n_tags: int) -> list[dict[str, Any]]:
    """Return a row a step of the table `training_log`; no trace token has a gradient, so none is counted."""
    return [
        {
            **{name: logs[name] for name in ("step", "loss", "learning_rate", "reward", "entropy", "kl", "seconds")},
            "tokens": 0,
            "rollouts": 0,
            "groups_skipped": int(logs["groups_skipped"]),
            "tag_usage": [logs[f"usage_{i + 1}"] for i in range(n_tags)],
        }
        for logs in history
        if "loss" in logs
    ]


class _ProgressCallback(TrainerCallback):
    """Says how far the training is."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Report the step's expected reward."""
        if logs and "reward" in logs:
            self.progress.update(state.global_step, f"expected reward {logs['reward']:.3f}")
