"""GFPO's and TRL's GRPO trainer on the same rollouts, of random tokens: what they say changes neither time nor memory.

A problem has as many rollouts as there are tags, one behind each. All prompts are of one length, and so are all
completions: nothing is padded, which favours GRPO.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from trl import GRPOConfig, GRPOTrainer

from forkpipe import GFPOConfig, GFPOTrainer, add_tags, head_rows
from forkpipe.core.policy import group_advantages
from forkpipe.models.router import router_adapter
from forkpipe.parameters import LoraSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "ssft"))
from synthetic import make_model, make_sets, make_tokenizer


@dataclass(frozen=True)
class Shape:
    """What is trained on what.

    Attributes:
        tokens: of a completion, its tag included.
        problems: of an update.
        group: rollouts of a problem, and tags.
        prompt: tokens of a prompt.
        micro_tokens: completion tokens that GRPO's forward passes may hold, one rollout at least.
        vocabulary, hidden, layers: of the model.
    """

    tokens: int
    problems: int
    group: int
    prompt: int
    micro_tokens: int
    vocabulary: int
    hidden: int
    layers: int

    @property
    def micro_batch(self) -> int:
        """Rollouts of a forward pass of GRPO: the largest number that fits and divides the update's."""
        rollouts, fit = self.problems * self.group, max(1, self.micro_tokens // self.tokens)
        return max(size for size in range(1, min(fit, rollouts) + 1) if rollouts % size == 0)


class GivenRollouts(GRPOTrainer):
    """TRL's trainer with rollouts that are given where it would generate and score them."""

    given: dict[str, Tensor]

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Tensor]:
        return self.given


class Update:
    """One optimiser update, to be repeated: forward, backward, clipping of the gradient's norm, AdamW."""

    trainer: Any
    micro_batches: int

    def batch(self, short: bool) -> Any:
        """Return what a forward and backward pass gets; `short` has a few tokens of it."""
        raise NotImplementedError

    def __call__(self, short: bool = False) -> None:
        """Take the update."""
        trainer = self.trainer
        trainer.current_gradient_accumulation_steps = self.micro_batches
        for _ in range(self.micro_batches):
            trainer.training_step(trainer.model, self.batch(short), None)
        trainer.accelerator.clip_grad_norm_(trainer.model.parameters(), trainer.args.max_grad_norm)
        trainer.optimizer.step()
        trainer.model.zero_grad()
        if torch.cuda.is_available():
            torch.cuda.synchronize()


class GFPOUpdate(Update):
    """GFPO reads prompts and a table of rewards; it holds all problems at once."""

    micro_batches = 1

    def __init__(self, shape: Shape, objective: str, scope: str) -> None:
        model, tokenizer, tags, problems = _start(shape)
        adapters = {
            "head": lambda: head_rows(model, tags),
            "router": lambda: router_adapter(model, tags, LoraSettings()),
        }
        settings = GFPOConfig(objective=objective, draws=shape.group, baseline="leave_one_out", **_common())
        rows = [
            {"problem": one, "rewards": [[reward] for reward in rewards]}
            for one, rewards in zip(problems, _rewards(shape).tolist(), strict=True)
        ]
        self.trainer = GFPOTrainer(
            model, settings, processing_class=tokenizer, tags=tags, train_dataset=rows,
            peft_config=adapters[scope]() if scope in adapters else None,
        )  # fmt: skip
        self.trainer.begin(None)
        self.trainer.create_optimizer()
        self.rows = [self.trainer.problems[i] for i in range(shape.problems)]

    def batch(self, short: bool) -> Any:
        """Return all problems, collated."""
        rows = [{**row, "prompt": row["prompt"][-4:]} for row in self.rows] if short else self.rows
        return self.trainer.data_collator(rows)


class GRPOUpdate(Update):
    """GRPO trains all weights on every token of every completion, in micro-batches."""

    def __init__(self, shape: Shape, checkpointing: bool) -> None:
        model, tokenizer, tags, problems = _start(shape)
        self.micro_batches = shape.problems * shape.group // shape.micro_batch
        settings = GRPOConfig(
            per_device_train_batch_size=shape.micro_batch, gradient_accumulation_steps=self.micro_batches,
            num_generations=shape.group, max_completion_length=shape.tokens, loss_type="grpo", beta=0.0,
            temperature=1.0, bf16=False, gradient_checkpointing=checkpointing, **_common(),
        )  # fmt: skip
        self.trainer = GivenRollouts(
            model=model, reward_funcs=lambda **_: [], args=settings, processing_class=tokenizer,
            train_dataset=Dataset.from_list([{"prompt": one} for one in problems]),
        )  # fmt: skip
        if checkpointing:  # `train` would do it
            self.trainer.model.gradient_checkpointing_enable()
        self.trainer.create_optimizer()
        prompts = torch.tensor([tokenizer(one)["input_ids"] for one in problems]).repeat_interleave(shape.group, dim=0)
        tokens = torch.randint(2, 900, (len(prompts), shape.tokens), generator=torch.Generator().manual_seed(1))
        tokens[:, 0] = torch.tensor([ids[0] for ids in tags.token_ids] * shape.problems)
        advantages = group_advantages(_rewards(shape), scale_by_std=True).flatten()
        self.rollouts = self._rollouts(prompts, tokens, advantages)
        self.short_rollouts = self._rollouts(prompts[:, -4:], tokens[:, :8], advantages)

    def _rollouts(self, prompts: Tensor, completions: Tensor, advantages: Tensor) -> dict[str, Tensor]:
        found = {
            "prompt_ids": prompts,
            "prompt_mask": torch.ones_like(prompts),
            "completion_ids": completions,
            "completion_mask": torch.ones_like(completions),
            "advantages": advantages,
        }
        return {name: value.to(self.trainer.accelerator.device) for name, value in found.items()}

    def batch(self, short: bool) -> Any:
        """Give the trainer its rollouts: it takes them itself, and its dataset's rows are not looked at."""
        self.trainer.given = self.short_rollouts if short else self.rollouts


GRPO, CHECKPOINTED = "GRPO", "GRPO, checkpointing"
UPDATES = {
    GRPO: lambda shape: GRPOUpdate(shape, checkpointing=False),
    CHECKPOINTED: lambda shape: GRPOUpdate(shape, checkpointing=True),
    **{
        f"GFPO, {scope}, {objective}": lambda shape, objective=objective, scope=scope: GFPOUpdate(
            shape, objective, scope
        )
        for scope in ("head", "router", "full")
        for objective in ("exact", "sampled")
    },
}
"""Name -> a function of the shape that makes the update."""


def _start(shape: Shape) -> tuple[Any, Any, Any, list[str]]:
    """Return a model, its tokenizer, its tags and problems, the same for both trainers."""
    model = make_model(shape.vocabulary, shape.hidden, shape.layers, 4 * shape.hidden, shape.hidden // 32, 4)
    tokenizer = make_tokenizer(1000)
    tags = add_tags(model, tokenizer, shape.group, "special")
    return model, tokenizer, tags, make_sets(shape.problems, 1, shape.prompt, 2, 900)["problem"]


def _rewards(shape: Shape) -> Tensor:
    """Return the rewards, (problems, group): 1 for half of the rollouts."""
    return (torch.arange(shape.group) % 2).float().expand(shape.problems, -1)


def _common() -> dict[str, Any]:
    return {
        "output_dir": tempfile.mkdtemp(), "learning_rate": 1e-6, "save_strategy": "no", "report_to": [],
        "disable_tqdm": True, "use_cpu": not torch.cuda.is_available(), "dataloader_pin_memory": False,
    }  # fmt: skip
