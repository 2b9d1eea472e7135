"""A phase of kind fold: distils the router's policy into the model, which then draws its tag without a router.

It needs no rollouts: the loss is KL(router || model) over the tags, and an anchor keeps the text after the tags as it
was.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from forkpipe.core.errors import InputError
from forkpipe.core.progress import Progress
from forkpipe.core.prompts import render
from forkpipe.models.checkpoint import Checkpoint
from forkpipe.models.router import router_log_probs
from forkpipe.parameters import FoldPhase
from forkpipe.training.anchors import make_anchor, matched_traces
from forkpipe.training.gfpo import GFPOTrainer
from forkpipe.training.jobs import MetricCallback, clear, computes_bf16, run, unfinished
from forkpipe.training.phases.base import Context, PhaseResult
from forkpipe.training.phases.tags import log_rows, policy_config


class FoldTrainer(GFPOTrainer):
    """A GFPOTrainer whose table holds the router's probabilities instead of rewards."""

    def objective(self, log_probs: Tensor, rewards: Tensor, samples: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Return KL(router || model) over the tags, nats; `reward` is the probability that both draw the same tag."""
        wanted = rewards.sum(dim=-1) / samples[:, None]
        loss = (torch.xlogy(wanted, wanted) - wanted * log_probs).sum(dim=-1).mean()
        return loss, {"reward": float((wanted * log_probs.exp()).sum(dim=-1).mean().detach()), "groups_skipped": 0}


def fold_router(
    parent: Checkpoint, folder: Path, work: Path, settings: FoldPhase, steps: int, job: str, context: Context
) -> PhaseResult:
    """Fold the router of `parent` into its model; writes a checkpoint without a router to `folder`.

    Trains on the prompts of the problems and of the trace sets; the anchor uses the traces of the trace sets, and the
    model before training as its reference. See `train_tags` for the arguments.
    """
    if not parent.has_router:
        raise InputError(f"{context.method}: {parent.name} has no router, expected one before a phase of kind fold")
    if not context.sets:
        raise InputError(f"{context.method}: there are no trace sets, expected some for the anchor of a fold")
    going_on = unfinished(work, job)
    model, tokenizer, tags = parent.load_model(to_device=True), parent.tokenizer, parent.tags
    texts = sorted({problem.problem for problem in context.problems} | {traces.problem for traces in context.sets})
    wanted = _router_probs(parent, texts, context, settings.micro_batch_size or context.rollouts.problems_per_step)
    sequences = matched_traces(context.sets, model, tokenizer, tags, context.template)
    trainer = FoldTrainer(
        model,
        policy_config(work, settings, steps, context),
        processing_class=tokenizer,
        tags=tags,
        train_dataset=[
            {"problem": text, "rewards": [[share] for share in row]} for text, row in zip(texts, wanted, strict=True)
        ],
        anchor=make_anchor(
            settings.anchor,
            model,
            tokenizer,
            sequences,
            seed=context.seed,
            adapter=False,
            bf16=computes_bf16(settings.bf16),
        ),
    )
    progress = Progress(f"{context.method} fold", steps, unit="steps")
    run(trainer, context.method, MetricCallback(progress, "reward", "agreement with the router"), going_on)
    parent.save_successor(folder, trainer.model, context.seed)
    clear(work)
    log = log_rows(trainer.state.log_history, tags.n, {})
    return PhaseResult([{**row, "reward": None, "groups": None, "groups_skipped": None} for row in log])


def _router_probs(parent: Checkpoint, texts: list[str], context: Context, size: int) -> list[list[float]]:
    """Return the router's p(g_i | x) for each text, computed `size` texts at a time."""
    router: Any = parent.load_router(parent.load_model(to_device=True)).eval()
    prompts = [parent.encode(parent.prompt(render(context.template, text))) for text in texts]
    probs: list[list[float]] = []
    with torch.inference_mode():
        for start in range(0, len(prompts), size):
            batch = prompts[start : start + size]
            probs += router_log_probs(router, batch, parent.tags, parent.tokenizer.pad_token_id).exp().tolist()
    return probs
