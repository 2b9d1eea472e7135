"""A phase of kind traces: GRPO by TRL's trainer, with the project's verifier as its reward.

With one plain tag this is the GRPO baseline, which TRL samples and trains. With drawn tags, `phases.drawing` makes the
rollouts and TRL the update.
"""

import json
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback

from forkpipe.core.errors import DoesNotFitError, InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.core.ids import derived_seed
from forkpipe.core.progress import Progress
from forkpipe.core.prompts import render
from forkpipe.core.records import Completion, Problem
from forkpipe.core.rows import RewardColumns, StepColumns
from forkpipe.models.checkpoint import Checkpoint
from forkpipe.models.positions import check_positions
from forkpipe.parameters import TracesPhase
from forkpipe.training.jobs import clear, phase_arguments, run, unfinished
from forkpipe.training.logs import logged_columns
from forkpipe.training.passes import passes_of
from forkpipe.training.phases.base import Context, PhaseResult
from forkpipe.training.phases.drawing import OwnTags, RouterTags

STATE_FILE = "forkpipe_state.json"
"""File in a trainer's checkpoint with the tables so far."""


def train_traces(
    parent: Checkpoint, folder: Path, work: Path, settings: TracesPhase, steps: int, job: str, context: Context
) -> PhaseResult:
    """Train all weights of `parent` on traces; writes the new checkpoint to `folder`.

    A training that was killed resumes from its last checkpoint in `work` if it is called again for the same job.

    Args:
        parent: checkpoint; with a router if the phase draws tags from one.
    """
    from datasets import Dataset

    if parent.has_router != (settings.tag == "router"):
        raise InputError(
            f"{context.method}: tag is '{settings.tag}' and the checkpoint before has "
            f"{'a' if parent.has_router else 'no'} router, expected tag 'router' where it has one, and only there"
        )
    going_on = unfinished(work, job, needs=STATE_FILE)
    model, tokenizer, tags = parent.load_model(), parent.tokenizer, parent.tags
    check_positions(context.rollouts.sampling.record().max_tokens, model.config, "rollouts.sampling.max_tokens")
    prompts = _prompts(context, parent, tags.tags[0] if settings.tag == "first" else "")
    rewards = Rewards(context, parent.end_ids)
    drawn: OwnTags | RouterTags | None = None
    if settings.tag == "router":
        drawn = RouterTags(model, parent, prompts, context, job, settings)
    elif settings.tag == "own":
        drawn = OwnTags(model, parent, prompts, context, job)
    rewards.drawn = drawn
    warnings.filterwarnings("ignore", message="You are using 'rollout_func'")  # docs/decisions/gfpo-scope.md
    trainer = bounded_trainer(context.rollouts.batch_rows, settings.pass_tokens)(
        model=model,
        reward_funcs=rewards.verified,
        args=_config(work, settings, steps, context),
        train_dataset=Dataset.from_list(
            [
                {"prompt": prompt, "problem_id": prompts[prompt].problem_id}
                for prompt in in_order(list(prompts), steps, context.rollouts.problems_per_step, context.seed)
            ]
        ),
        processing_class=tokenizer,
        **({"rollout_func": drawn.rollouts} if drawn else {}),
    )
    _check_tokens(parent, next(iter(prompts)))
    callback = _StateCallback(rewards, tags, Progress(context.method, steps, unit="steps"))
    if going_on is not None:
        callback.load(going_on)
    run(trainer, context.method, callback, going_on)
    if trainer.state.global_step != steps:
        raise RuntimeError(f"{context.method} took {trainer.state.global_step} steps, expected {steps}")
    trained = drawn.finished(folder) if drawn else trainer.model
    parent.save_successor(folder, trained, context.seed)
    clear(work)
    return PhaseResult(callback.log, rewards.rows)


def bounded_trainer(rows: int, pass_tokens: int | None = None) -> Any:
    """Return TRL's trainer, changed to sample at most `rows` sequences at a time, and to train in passes of at most
    `pass_tokens` tokens."""
    import torch
    from trl import GRPOTrainer

    class BoundedTrainer(GRPOTrainer):
        def _generate_single_turn(self, prompt_ids: list[list[int]], *args: Any, **kwargs: Any) -> tuple[Any, None]:
            parts = [prompt_ids[i : i + rows] for i in range(0, len(prompt_ids), rows)]
            drawn = [super(BoundedTrainer, self)._generate_single_turn(part, *args, **kwargs)[0] for part in parts]
            return [ids for part in drawn for ids in part], None  # None for log-probabilities, which only vLLM returns

        def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
            """Return the loss; all passes but the last go backward in here, see `SSFTTrainer.compute_loss`."""
            prompts, completions = (inputs[f"{name}_mask"].sum(dim=1) for name in ("prompt", "completion"))
            *earlier, last = passes_of((prompts.max() + completions).tolist(), pass_tokens)
            if not earlier:
                return super()._compute_loss(model, inputs)
            before = 0.0
            for part in earlier:
                with self.accelerator.no_sync(model):
                    loss = self._of_pass(model, inputs, part)
                    if torch.is_grad_enabled():
                        self.accelerator.backward(loss)
                before += loss.detach()
            return self._of_pass(model, inputs, last) + before

        def _of_pass(self, model: Any, inputs: dict[str, Any], part: list[int]) -> Any:
            # dapo divides by the tokens of all rollouts, the others by the number of rollouts in the pass.
            share = 1.0 if self.loss_type == "dapo" else len(part) / len(inputs["prompt_ids"])
            return super()._compute_loss(model, rollouts_of(inputs, part)) * share

    return BoundedTrainer


def rollouts_of(inputs: dict[str, Any], rows: list[int]) -> dict[str, Any]:
    """Return some rollouts of a batch of TRL's trainer, without the padding that the others need: prompts (B, P) are
    padded on the left, completions and what is known of each of their tokens (B, C) on the right."""
    whole, width = inputs["completion_ids"].shape
    given = int(inputs["prompt_mask"][rows].sum(dim=1).max())
    written = max(1, int(inputs["completion_mask"][rows].sum(dim=1).max()))
    result = {}
    for name, value in inputs.items():
        if getattr(value, "ndim", 0) and len(value) == whole:
            value = value[rows]
            if name in ("prompt_ids", "prompt_mask"):
                value = value[:, value.shape[1] - given :]
            elif value.ndim == 2 and value.shape[1] == width:
                value = value[:, :written]
        result[name] = value
    return result


def _prompts(context: Context, parent: Checkpoint, tag: str) -> dict[str, Problem]:
    """Return the problem of each prompt; of problems with the same text the first."""
    prompts: dict[str, Problem] = {}
    for problem in context.problems:
        prompts.setdefault(parent.prompt(render(context.template, problem.problem), tag), problem)
    return prompts


def in_order(prompts: Sequence[str], steps: int, per_step: int, seed: int) -> list[str]:
    """Return the prompts of all steps one after the other, shuffled anew for each pass over them.

    The trainer's own order would start from its beginning when a killed training resumes. The prompts of a step are
    distinct if there are enough.
    """
    rng = np.random.default_rng(derived_seed("order", seed))
    result: list[str] = []
    while len(result) < steps * per_step:
        shuffled = [prompts[i] for i in rng.permutation(len(prompts))]
        whole = len(shuffled) - len(shuffled) % per_step
        result += shuffled[:whole] if whole else (shuffled * -(-per_step // len(shuffled)))[:per_step]
    return result[: steps * per_step]


def _config(work: Path, settings: TracesPhase, steps: int, context: Context) -> Any:
    from trl import GRPOConfig

    rollouts = context.rollouts
    whole = rollouts.problems_per_step * rollouts.group_size
    computed = phase_arguments(work, settings, steps, whole, context.seed)
    return GRPOConfig(
        num_generations=rollouts.group_size,
        shuffle_dataset=False,
        steps_per_generation=computed["gradient_accumulation_steps"],
        max_completion_length=rollouts.sampling.record().max_tokens,
        temperature=rollouts.sampling.temperature,
        top_p=rollouts.sampling.top_p,
        beta=settings.beta,
        loss_type=settings.loss_type,
        **{"gradient_checkpointing": False, **computed},  # TRL's default is True
    )


def _check_tokens(parent: Checkpoint, prompt: str) -> None:
    """Raise DoesNotFitError if TRL, which adds special tokens to prompts, would train on other tokens."""
    if parent.tokenizer(prompt)["input_ids"] != parent.encode(prompt):
        raise DoesNotFitError(
            f"tokenizer {parent.tokenizer.name_or_path} adds special tokens to a rendered prompt, expected none: "
            "set add_bos_token=False in its tokenizer_config.json, the chat template has them already"
        )


class Rewards:
    """The reward function for TRL: 1 for a correct completion, else 0; collects the rows of the `rewards` table."""

    def __init__(self, context: Context, ends: frozenset[int]) -> None:
        self.context, self.ends = context, ends
        self.by_id = {problem.problem_id: problem for problem in context.problems}
        self.rows: list[RewardColumns] = []
        self.drawn: OwnTags | RouterTags | None = None

    def verified(
        self,
        prompts: list[str],
        completions: list[str],
        completion_ids: list[list[int]],
        problem_id: list[str],
        trainer_state: Any,
        drawn: Sequence[Completion] | None = None,
        **_: Any,
    ) -> list[float]:
        """Return the rewards; `drawn` holds the completions if `phases.drawing` made the rollouts."""
        done = drawn or [
            Completion(
                request_id="",
                text=text,
                tokens_out=len(ids),
                finish_reason="length" if self.ends.isdisjoint(ids) else "stop",
            )
            for text, ids in zip(completions, completion_ids, strict=True)
        ]
        verdicts = self.context.verify([self.by_id[name] for name in problem_id], done)
        seen = Counter(row["problem_id"] for row in self.rows)
        for name, completion, verdict, ids in zip(problem_id, done, verdicts, completion_ids, strict=True):
            sample = seen[name]
            seen[name] += 1
            self.rows.append(
                {
                    "problem_id": name,
                    "tag": -1 if completion.tag is None else completion.tag,
                    "sample": sample,
                    "verdict": verdict.verdict,
                    "tokens": len(ids),  # the trained ones, with the end token
                    "policy_version": trainer_state.global_step,
                }
            )
        earned = [float(verdict.verdict == "correct") for verdict in verdicts]
        if self.drawn is not None:
            self.drawn.learn(prompts, done, earned)
        return earned


class _StateCallback(TrainerCallback):
    """Collects a row per step for the training log, shows progress, and writes the tables into every checkpoint."""

    def __init__(self, rewards: Rewards, tags: ForkingTags, progress: Progress) -> None:
        self.log: list[StepColumns] = []
        self.rewards, self.n_tags, self.progress = rewards, tags.n, progress
        self.started, self.counted = time.perf_counter(), 0

    def load(self, checkpoint: Path) -> None:
        """Read the tables, and the router's state, from a checkpoint."""
        state = json.loads((checkpoint / STATE_FILE).read_text())
        self.log, self.rewards.rows = state["log"], state["rewards"]
        self.counted = len(self.rewards.rows)
        if self.rewards.drawn is not None:
            self.rewards.drawn.load(checkpoint)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock at the step from which the training goes on."""
        self.progress.begin(state.global_step)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the tables, and the router's state before them."""
        checkpoint = Path(args.output_dir, f"checkpoint-{state.global_step}")
        if self.rewards.drawn is not None:
            self.rewards.drawn.save(checkpoint)
        temporary = checkpoint / f"{STATE_FILE}.tmp"
        temporary.write_text(json.dumps({"log": self.log, "rewards": self.rewards.rows}))
        temporary.rename(checkpoint / STATE_FILE)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Add a row."""
        if not logs or "loss" not in logs:
            return
        now = time.perf_counter()
        new = self.rewards.rows[self.counted :]
        used = [row["tag"] for row in new if row["tag"] >= 0]
        self.log.append(
            {
                **logged_columns(logs),
                "step": state.global_step,
                "tokens": sum(row["tokens"] for row in new),
                "seconds": now - self.started,
                "groups": len(new) // args.num_generations,
                "groups_skipped": round(float(logs.get("frac_reward_zero_std", 0.0)) * len(new) / args.num_generations),
                "rollouts": len(new),
                "tag_usage": [used.count(tag) / len(used) for tag in range(self.n_tags)] if used else None,
            }
        )
        self.started, self.counted = now, len(self.rewards.rows)
        self.progress.update(state.global_step, f"reward {logs['reward']:.3f}")
