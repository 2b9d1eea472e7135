"""GFPOTrainer: the policy over forking tags on transformers.Trainer (paper, section on GFPO).

A row is a problem with the rewards of rollouts under each tag. An update reads the prompt and the tokens of a tag up to
its deciding position, but no completion. The caller decides which weights are trained: all weights of the model, or
those of an adapter (`models.scopes`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from safetensors.torch import load_file, save_file
from torch import Tensor

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.core.losses import tag_log_probs
from forkpipe.core.policy import clipped_surrogate, entropy, exact_expectation, group_advantages, kl_to_reference
from forkpipe.training.config import GFPOConfig
from forkpipe.training.prompts import PromptCollator, encode_problems
from forkpipe.training.trainer import TagTrainer

REFERENCE_FILE = "reference.safetensors"
"""File in a trainer's checkpoint with the policy before training."""

_COUNTS = ("groups", "groups_skipped")
"""Metrics that are added up over a step; the others are means."""


class GFPOTrainer(TagTrainer):
    """Trains p(g | x); see the module.

    Args:
        model: a causal language model trained with the tags.
        args: see `GFPOConfig`.
        processing_class: its tokenizer, with a chat template.
        tags: the tags of the model; they must differ at one position.
        train_dataset: rows with `problem` and `rewards`: N lists of rewards, one per tag, all of the same length.
        anchor: (model, step, backward) -> a loss that keeps completions as they were, called once per optimiser step;
            it may pass parts of the loss to `backward`, see `training.anchors`.
        **kwargs: of `TagTrainer`; `peft_config=scopes.head_rows(model, tags)` is the safe scope.
    """

    def __init__(
        self,
        model: Any,
        args: GFPOConfig,
        *,
        processing_class: Any,
        tags: ForkingTags,
        train_dataset: Any,
        anchor: Callable[[Any, int, Callable[[Tensor], None]], Tensor] | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(args, GFPOConfig):
            raise TypeError(f"args is a {type(args).__name__}, expected a GFPOConfig")
        for name in ("eval_dataset", "data_collator", "compute_metrics", "compute_loss_func", "model_init"):
            if kwargs.get(name) is not None:
                raise InputError(f"{name} is given, expected none: the trainer uses the table of rewards only")
        if tags.n < 2:
            raise InputError("the model has a single tag, expected several to choose from")
        self.problems = encode_problems(train_dataset, processing_class, tags, args.prompt)
        super().__init__(
            model,
            args=args,
            processing_class=processing_class,
            tags=tags,
            data_collator=PromptCollator(processing_class.pad_token_id),
            train_dataset=self.problems,
            **kwargs,
        )
        # The loss is a mean over the batch's problems; the base class divides it by the number of accumulated batches.
        self.loss_is_scaled_for_ga = False
        self.model_accepts_loss_kwargs = False
        self._deciding_ids = torch.tensor(tags.deciding_ids)
        self._reference = torch.empty(0)
        self.anchor = anchor
        self.set_rewards(self.problems["rewards"])
        self._since_log: dict[str, float] = {}
        self._shares: list[float] = []
        self._accumulated = 1
        self._logged_at = time.perf_counter()

    def set_rewards(self, rewards: Sequence[Sequence[Sequence[float]] | None]) -> None:
        """Replace the table: for each problem of the dataset a list of rewards per tag, or None to keep the old ones.

        The table is read when a loss is computed, as batches are made ahead of time.
        """
        kept = getattr(self, "_rewards", None)
        rows = [row if row is not None else kept[index] for index, row in enumerate(rewards)]  # type: ignore[index]
        self._rewards = rows
        most = max(len(row[0]) for row in rows)
        self._table = torch.tensor([[[*tag, *[0.0] * (most - len(tag))] for tag in row] for row in rows])
        self._samples = torch.tensor([len(row[0]) for row in rows])

    def begin(self, checkpoint: Path | None) -> None:
        """Compute the policy before training, the reference of the KL; a checkpoint to resume from is loaded later.

        Processes that hold the model together have it in their checkpoints: to compute it takes all their parts.
        """
        kept = checkpoint / REFERENCE_FILE if checkpoint else None
        if kept and kept.exists():
            self._reference = load_file(kept)["log_probs"]
        else:
            self._reference = torch.empty(0) if self.is_fsdp_enabled else self.log_probs()
        self._since_log, self._logged_at = {}, time.perf_counter()

    def ready(self) -> None:
        """Compute the reference of the KL where all processes are needed for it."""
        if not len(self._reference):
            self._reference = self.log_probs()

    def save_state_beside(self, folder: Path) -> None:
        """Write the reference of the KL."""
        save_file({"log_probs": self._reference}, folder / REFERENCE_FILE)

    @torch.no_grad()
    def log_probs(self) -> Tensor:
        """Return log p(g_i | x) of every problem of the dataset, (problems, N), in its order."""
        was_training = self.model.training
        self.model.eval()
        size = self.args.per_device_train_batch_size
        rows = [self.problems[i] for i in range(len(self.problems))]
        batches = [self.data_collator(rows[start : start + size]) for start in range(0, len(rows), size)]
        log_probs = [self._tag_log_probs(self.model, self._prepare_inputs(batch)).cpu() for batch in batches]
        self.model.train(was_training)
        return torch.cat(log_probs)

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> tuple[list[Any], Any]:
        """Note each micro-batch's share of the optimiser step's problems: the last micro-batch may be shorter."""
        batches, items = super().get_batch_samples(*args, **kwargs)
        sizes = [len(batch["problem_index"]) for batch in batches]
        self._accumulated = len(sizes)
        self._shares = [size * len(sizes) / sum(sizes) for size in sizes]
        return batches, items

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the objective of a batch as a loss: a mean over its problems, times the batch's share of the step.

        The base class takes the mean over accumulated batches. The anchor's loss, one per step, is added to the last.
        """
        share = self._shares.pop(0) if self._shares else 1.0
        log_probs = self._tag_log_probs(model, inputs)
        which, device = inputs["problem_index"].cpu(), log_probs.device
        rewards, samples = self._table[which].to(device), self._samples[which].to(device)  # (B, N, S), (B,)
        reference = self._reference[which].to(device)
        loss, metrics = self.objective(log_probs, rewards, samples)
        kl, spread = kl_to_reference(log_probs, reference).mean(), entropy(log_probs).mean()
        loss = (loss + self.args.kl_weight * kl - self.args.entropy_weight * spread) * share
        usage = log_probs.detach().exp().mean(dim=0).tolist()
        metrics |= {"kl": float(kl.detach()), "entropy": float(spread.detach())}
        metrics |= {f"usage_{i + 1}": used for i, used in enumerate(usage)}
        # Sums over problems, which can be added over micro-batches, steps and processes.
        sums = {name: value * (1 if name in _COUNTS else len(which)) for name, value in metrics.items()}
        sums["groups"] = len(which)
        if self.anchor is not None and not self._shares:
            weight = self.args.anchor_weight
            anchor = self.anchor(model, self.state.global_step, lambda part: self.accelerator.backward(weight * part))
            loss = loss + weight * anchor * self._accumulated
            sums |= {"anchor": float(anchor.detach()), "anchored_steps": 1}
        self._since_log = _added(self._since_log, sums)
        return (loss, {"log_probs": log_probs}) if return_outputs else loss

    def objective(self, log_probs: Tensor, rewards: Tensor, samples: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Return (loss, metrics).

        Args:
            log_probs: (B, N).
            rewards: (B, N, S), padded with zeros.
            samples: (B,), how many of the S rewards are real.
        """
        loss, metrics = exact_expectation(log_probs, rewards.sum(dim=-1) / samples[:, None])
        if self.args.objective == "sampled":
            loss = self._sampled(log_probs, rewards, samples, metrics)
        return loss, metrics

    def _sampled(self, log_probs: Tensor, rewards: Tensor, samples: Tensor, metrics: dict[str, float]) -> Tensor:
        """Draw tags from the policy, and one of the tabulated rewards for each."""
        actions = torch.multinomial(log_probs.detach().exp(), self.args.draws, replacement=True)  # (B, G)
        which = (torch.rand(actions.shape, device=actions.device) * samples[:, None]).long()
        earned = rewards.gather(1, actions[:, :, None].expand(-1, -1, rewards.shape[-1])).gather(2, which[:, :, None])
        advantages = group_advantages(earned[:, :, 0], baseline=self.args.baseline, scale_by_std=self.args.scale_by_std)
        drawn = log_probs.gather(1, actions)
        loss, sampled = clipped_surrogate(drawn, drawn, advantages)  # each draw is used once: the ratio is 1
        metrics["groups_skipped"] = sampled["groups_skipped"]
        return loss

    def _tag_log_probs(self, model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return log p(g_i | x), (B, N), from one forward pass over the prompts."""
        mask = inputs["attention_mask"]
        # With the accelerator's autocast: the reference is computed before the model is prepared, which adds it.
        with self.compute_loss_context_manager(), self.accelerator.autocast():
            logits = model(
                input_ids=inputs["input_ids"],
                attention_mask=mask,
                position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0),
                logits_to_keep=1,
                use_cache=False,
            ).logits
        return tag_log_probs(logits[:, -1], self._deciding_ids.to(logits.device))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log the loss with expected reward, KL, entropy and use of the tags: means over the problems since the last
        log, of all processes; the anchor's loss is a mean over steps."""
        if "loss" in logs and self._since_log:
            mine, self._since_log = self._since_log, {}
            everywhere = gather_object([mine]) if self.accelerator.num_processes > 1 else [mine]
            sums = reduce(_added, everywhere)
            steps, groups = sums.pop("anchored_steps", 0), sums["groups"]
            if steps:
                logs["anchor"] = sums.pop("anchor") / steps
            logs |= {name: total if name in _COUNTS else total / groups for name, total in sums.items()}
            now = time.perf_counter()
            logs["seconds"], self._logged_at = now - self._logged_at, now
        super().log(logs, start_time)


def _added(sums: Mapping[str, float], more: Mapping[str, float]) -> dict[str, float]:
    return {name: sums.get(name, 0) + more.get(name, 0) for name in {**sums, **more}}
