"""The GRPO baseline: TRL's GRPOTrainer with the project's verifier as its reward."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forkpipe.core.prompts import render
from forkpipe.core.records import Completion, Problem
from forkpipe.parameters import GRPOSettings, RolloutSettings
from forkpipe.progress import Progress
from forkpipe.training.checkpoint import end_tokens, load_checkpoint, render_prompt, save_checkpoint
from forkpipe.training.rewards import Verify


def train_grpo(
    parent: Path,
    folder: Path,
    work: Path,
    problems: Sequence[Problem],
    verify: Verify,
    settings: GRPOSettings,
    rollouts: RolloutSettings,
    template: str,
    seed: int,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Train all weights of `parent` on traces behind its first tag; writes the new checkpoint to `folder`.

    Returns:
        Rows of the tables `training_log` and `rewards`, without method and run_id.
    """
    import torch
    from datasets import Dataset
    from transformers.trainer_callback import PrinterCallback, ProgressCallback
    from trl import GRPOConfig, GRPOTrainer

    model, tokenizer, tags = load_checkpoint(parent)
    by_id = {problem.problem_id: problem for problem in problems}
    # A step takes distinct prompts of the data set: with fewer than it needs, the trainer would do nothing at all.
    repeated = [*problems] * -(-rollouts.problems_per_step // len(problems))
    dataset = Dataset.from_list(
        [
            {
                "prompt": render_prompt(tokenizer, render(template, problem.problem), tags.tags[0]),
                "problem_id": problem.problem_id,
            }
            for problem in repeated
        ]
    )
    ends = end_tokens(model, tokenizer)
    rewards: list[dict[str, Any]] = []
    drawn: dict[str, int] = {}
    max_tokens = rollouts.sampling.max_tokens

    def verified(
        prompts: list[str],
        completions: list[str],
        completion_ids: list[list[int]],
        problem_id: list[str],
        trainer_state: Any,
        **_: Any,
    ) -> list[float]:
        """1 for a correct completion, 0 for any other."""
        asked = [by_id[one] for one in problem_id]
        done = [
            Completion(
                request_id="",
                text=text,
                tokens_out=len(ids),
                finish_reason="length" if ends.isdisjoint(ids) else "stop",
            )
            for text, ids in zip(completions, completion_ids, strict=True)
        ]
        verdicts = verify(asked, done)
        for problem, completion, verdict in zip(asked, done, verdicts, strict=True):
            sample = drawn.get(problem.problem_id, 0)
            drawn[problem.problem_id] = sample + 1
            rewards.append(
                {
                    "problem_id": problem.problem_id,
                    "tag": -1,
                    "sample": sample,
                    "verdict": verdict.verdict,
                    "tokens": completion.tokens_out,
                    "policy_version": trainer_state.global_step,
                }
            )
        return [float(verdict.verdict == "correct") for verdict in verdicts]

    arguments = GRPOConfig(
        output_dir=str(work),
        max_steps=rollouts.steps,
        per_device_train_batch_size=rollouts.problems_per_step * rollouts.group_size,
        num_generations=rollouts.group_size,
        steps_per_generation=1,
        max_completion_length=max_tokens,
        temperature=rollouts.sampling.temperature,
        top_p=rollouts.sampling.top_p,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant",
        max_grad_norm=settings.max_grad_norm,
        beta=settings.beta,
        epsilon=settings.epsilon,
        loss_type=settings.loss_type,
        bf16=False,
        gradient_checkpointing=False,
        seed=seed,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    log: list[dict[str, Any]] = []
    trainer = GRPOTrainer(
        model=model, reward_funcs=verified, args=arguments, train_dataset=dataset, processing_class=tokenizer
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(_log_callback(log, rewards, Progress("grpo", rollouts.steps, unit="steps")))
    trainer.train()
    if trainer.state.global_step != rollouts.steps:
        raise RuntimeError(f"grpo took {trainer.state.global_step} steps, expected {rollouts.steps}")
    save_checkpoint(
        folder, trainer.model, tokenizer, tags, base=f"{parent.parent.name}/{parent.name}", revision=f"seed {seed}"
    )
    return log, rewards


def _log_callback(log: list[dict[str, Any]], rewards: list[dict[str, Any]], progress: Progress) -> Any:
    from transformers import TrainerCallback

    class LogCallback(TrainerCallback):
        """Keeps a row a step for the training log and shows progress."""

        started = time.perf_counter()
        counted = 0

        def on_log(
            self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any
        ) -> None:
            if not logs or "loss" not in logs:
                return
            now = time.perf_counter()
            new = rewards[self.counted :]
            log.append(
                {
                    "step": state.global_step,
                    "loss": float(logs["loss"]),
                    "learning_rate": float(logs["learning_rate"]),
                    "tokens": sum(row["tokens"] for row in new),
                    "seconds": now - self.started,
                    "reward": float(logs["reward"]),
                    "entropy": float(logs["entropy"]) if "entropy" in logs else None,
                    "kl": float(logs["kl"]) if "kl" in logs else None,
                    "groups_skipped": round(
                        float(logs.get("frac_reward_zero_std", 0.0)) * len(new) / args.num_generations
                    ),
                    "rollouts": len(new),
                }
            )
            self.started, self.counted = now, len(rewards)
            progress.update(state.global_step, f"reward {logs['reward']:.3f}")

    return LogCallback()
