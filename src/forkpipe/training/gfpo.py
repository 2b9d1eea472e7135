"""GFPO: global forking policy optimisation, in scope `head` (paper, section on GFPO).

Only the tags' rows of the output matrix are trained. The body is frozen, so the state at the end of a prompt is
computed once and an update costs one small matrix product; tags are banned behind their place, so no completion changes
and the reward table stays valid for every update. Full-weight GFPO is not offered: the end of the prompt feeds every
later position, and a prototype lost the traces it steered (docs/decisions/gfpo-scope.md).
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.core.losses import tag_log_probs
from forkpipe.core.policy import exact_expectation, kl_to_reference
from forkpipe.core.prompts import render
from forkpipe.core.records import Problem
from forkpipe.parameters import GFPOSettings, RolloutSettings
from forkpipe.progress import Progress
from forkpipe.training.checkpoint import encoder, load_checkpoint, load_tags, render_prompt, save_checkpoint
from forkpipe.training.rewards import mean_rewards


def check_head_scope(tags: ForkingTags, tied: bool) -> None:
    """Raise InputError where training the tags' output rows would change more than the choice of the tag."""
    if tags.style != "special":
        raise InputError(
            "gfpo.train.scope is 'head' and tags.style 'text': the rows of a text tag are those of ordinary tokens, "
            "expected tags.style 'special'"
        )
    if tied:
        raise InputError(
            "gfpo.train.scope is 'head' and the model ties its embeddings: expected an untied output matrix"
        )


def check_parent(parent: Path) -> None:
    """Raise InputError where a checkpoint cannot be trained in scope head, before a rollout is drawn."""
    from transformers import AutoConfig, AutoTokenizer

    tags = load_tags(parent, AutoTokenizer.from_pretrained(parent))
    check_head_scope(tags, AutoConfig.from_pretrained(parent).tie_word_embeddings)


def train_gfpo(
    parent: Path,
    folder: Path,
    problems: Sequence[Problem],
    rewards: Sequence[dict[str, Any]],
    settings: GFPOSettings,
    rollouts: RolloutSettings,
    template: str,
    seed: int,
) -> list[dict[str, Any]]:
    """Train the tag policy of `parent` on a reward table; writes the new checkpoint to `folder`.

    Args:
        parent: SSFT checkpoint with special tags and an untied output matrix.
        folder: where the new checkpoint goes.
        problems: the problems of the reward table, or more.
        rewards: rows of the table `rewards`.
        settings: see `parameters.GFPOSettings`.
        rollouts: steps and problems a step, as for GRPO.
        template: prompt template of the student.
        seed: of the order of problems.

    Returns:
        Rows of the table `training_log`, without method and run_id.
    """
    model, tokenizer, tags = load_checkpoint(parent)
    check_head_scope(tags, model.config.tie_word_embeddings)
    started = time.perf_counter()
    means = mean_rewards(rewards, tags.n)
    # A budget smaller than one group a problem leaves problems without rollouts: they cannot be trained on.
    problems = [problem for problem in problems if problem.problem_id in means]
    states = prompt_states(model, tokenizer, [render(template, problem.problem) for problem in problems])
    table = torch.tensor(np.stack([means[problem.problem_id] for problem in problems]), dtype=torch.float32)
    ids = torch.tensor([ids[tags.deciding_positions[0]] for ids in tags.token_ids])
    output = model.get_output_embeddings()
    tag_rows = torch.nn.Parameter(output.weight.detach()[ids].clone())
    reference = _log_probs(states, tag_rows).detach()
    # The optimizer holds these rows and nothing else: weight decay would move rows that have no gradient.
    optimizer = torch.optim.AdamW([tag_rows], lr=settings.learning_rate, weight_decay=0.0)
    generator = torch.Generator().manual_seed(seed)
    order = _batches(len(problems), rollouts, generator)
    progress = Progress("gfpo", rollouts.steps, unit="steps")
    log = []
    for step, batch in enumerate(order, start=1):
        log_probs = _log_probs(states[batch], tag_rows)
        loss, metrics = exact_expectation(log_probs, table[batch], entropy_weight=settings.entropy_weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            kl = kl_to_reference(log_probs, reference[batch]).mean()
        log.append(
            {
                "step": step,
                "loss": float(loss.detach()),
                "learning_rate": settings.learning_rate,
                "tokens": 0,  # no trace token has a gradient
                "seconds": time.perf_counter() - started,
                "kl": float(kl),
                "tag_usage": log_probs.detach().exp().mean(dim=0).tolist(),
                "rollouts": 0,
                **metrics,
            }
        )
        started = time.perf_counter()
        progress.update(step, f"expected reward {metrics['reward']:.3f}")
    if log:
        log[0]["rollouts"] = len(rewards)  # all were drawn before the first step
    with torch.no_grad():
        output.weight[ids] = tag_rows
    save_checkpoint(folder, model, tokenizer, tags, base=f"{parent.parent.name}/{parent.name}", revision=f"seed {seed}")
    return log


@torch.no_grad()
def prompt_states(model: Any, tokenizer: Any, contents: Sequence[str]) -> Tensor:
    """Return the last hidden state at the end of each prompt, (problems, hidden)."""
    encode = encoder(tokenizer)
    model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    states = []
    for content in contents:
        ids = torch.tensor([encode(render_prompt(tokenizer, content))], device=model.device)
        states.append(model.base_model(input_ids=ids).last_hidden_state[0, -1])
    return torch.stack(states).float().cpu()


def _log_probs(states: Tensor, tag_rows: Tensor) -> Tensor:
    logits = states @ tag_rows.T.float()
    return tag_log_probs(logits, torch.arange(tag_rows.shape[0]))


def _batches(n_problems: int, rollouts: RolloutSettings, generator: torch.Generator) -> list[Tensor]:
    """Return the problems of each step: shuffled passes over all of them, cut into steps."""
    needed = rollouts.steps * rollouts.problems_per_step
    passes = [torch.randperm(n_problems, generator=generator) for _ in range(-(-needed // n_problems))]
    return list(torch.cat(passes)[:needed].split(rollouts.problems_per_step))
