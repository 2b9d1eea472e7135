"""Rollouts for TRL's trainer under tags that the model or its router draws.

The router is an adapter over weights that the same phase trains (`models.router`), so its policy changes with them. It
is trained on the tags of the same rollouts, through its own weights only. A router over a frozen copy of the model
would not change, but would need a second model in memory and in the checkpoint.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from forkpipe.core.ids import content_hash
from forkpipe.core.policy import clipped_surrogate, group_advantages
from forkpipe.core.records import Completion, Problem, Request, Sampling
from forkpipe.engines.drawing import draw_tags
from forkpipe.engines.transformers import TransformersEngine
from forkpipe.models.checkpoint import Checkpoint, end_of
from forkpipe.models.router import router_log_probs, save_router
from forkpipe.parameters import TracesPhase
from forkpipe.training.phases.base import Context

ROUTER_STATE = "router_state.pt"
"""File in a trainer's checkpoint with the router's weights and its optimiser."""


class LoadedEngine(TransformersEngine):
    """Samples a model in memory while it is trained; tokenizer, tags and end tokens come from its parent."""

    def __init__(self, model: Any, parent: Checkpoint, batch_rows: int) -> None:
        super().__init__(model=str(parent.name), batch_rows=batch_rows)
        self._model = model

    def sample(self, requests: Sequence[Request]) -> list[Completion]:
        """Return completions in the order of the requests."""
        training = self._model.training
        self._model.eval()
        try:
            by_id = {completion.request_id: completion for completion in self.generate(requests)}
        finally:
            self._model.train(training)
        return [by_id[request.request_id] for request in requests]


class OwnTags:
    """The model draws the tag, which is trained as the beginning of the completion: ordinary GRPO.

    Args:
        prompts: the problem of each prompt that the trainer will pass.
        job: part of every request's id, from which its seed is derived.
    """

    def __init__(
        self, model: Any, parent: Checkpoint, prompts: Mapping[str, Problem], context: Context, job: str
    ) -> None:
        self.engine = LoadedEngine(model, parent, context.rollouts.batch_rows)
        self.model, self.parent, self.tags = model, parent, parent.tags
        self.prompts, self.context, self.job = prompts, context, job

    def rollouts(self, prompts: list[str], trainer: Any) -> dict[str, Any]:
        """Return what TRL expects of a `rollout_func`: one rollout per entry of `prompts`."""
        completions = self.complete([self._request(p, i, trainer.state.global_step) for i, p in enumerate(prompts)])
        before, written = self.split([self.parent.encode(prompt) for prompt in prompts], completions)
        return {
            "prompt_ids": before,
            # The end token is part of the completion, as in TRL: the model wrote it.
            "completion_ids": [
                ids + end_of(completion, self.parent.tokenizer)
                for ids, completion in zip(written, completions, strict=True)
            ],
            "logprobs": None,
            "drawn": completions,
        }

    def complete(self, requests: list[Request]) -> list[Completion]:
        """Return the completions, each with its tag."""
        return self.engine.sample(requests)

    def split(self, prompts: list[list[int]], completions: list[Completion]) -> tuple[list[list[int]], list[list[int]]]:
        """Return (token ids that are not trained, token ids that are trained)."""
        return prompts, [
            [*self.tags.token_ids[completion.tag or 0], *completion.token_ids] for completion in completions
        ]

    def learn(self, prompts: Sequence[str], completions: Sequence[Completion], rewards: Sequence[float]) -> None:
        """Train on rewards before TRL does; this class does nothing."""

    def save(self, folder: Path) -> None:
        """Write state for resuming in addition to TRL's; this class has none."""

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""

    def finished(self, folder: Path) -> Any:
        """Return the trained model."""
        return self.model

    def _request(self, prompt: str, place: int, step: int) -> Request:
        problem = self.prompts[prompt]
        return Request.create(
            problem_id=problem.problem_id,
            problem=problem.problem,
            asked_of=content_hash("rollouts", self.job, step),
            revision="",
            prompt=prompt,
            sample=place,
            sampling=self.context.rollouts.sampling.record(),
            own_tag=True,
        )


class RouterTags(OwnTags):
    """The router draws the tag. TRL trains the trace only; the router is trained on the same rewards.

    Args:
        model: the model that is trained; it gets the router's adapter, which is switched on only for drawing tags.
        parent: the checkpoint it was loaded from, with the router.
    """

    def __init__(
        self,
        model: Any,
        parent: Checkpoint,
        prompts: Mapping[str, Problem],
        context: Context,
        job: str,
        settings: TracesPhase,
    ) -> None:
        super().__init__(model, parent, prompts, context, job)
        self.router = parent.load_router(model, trainable=True)
        self.weights = {name: weight for name, weight in self.router.named_parameters() if weight.requires_grad}
        for name, weight in self.router.named_parameters():
            weight.requires_grad_(name not in self.weights)
        # While it is off, its weights need no gradient, so TRL's optimiser skips them.
        self.router.base_model.disable_adapter_layers()
        self.optimizer = torch.optim.AdamW(self.weights.values(), lr=settings.router_learning_rate, weight_decay=0.0)
        self.settings = settings

    def complete(self, requests: list[Request]) -> list[Completion]:
        """Draw a tag for each request with the router, then complete with the model itself."""
        group = self.context.rollouts.group_size
        with torch.inference_mode(), self._switched_on():
            log_probs = self._log_probs([request.prompt for request in requests[::group]]).repeat_interleave(
                group, dim=0
            )
        # At temperature 1, whatever the temperature of the text: the router's gradient is unbiased only for tags that
        # are drawn from the router itself.
        plain = Sampling(temperature=1.0, top_p=1.0)
        drawn = draw_tags(log_probs, [replace(request, sampling=plain) for request in requests])
        return self.engine.sample(
            [
                replace(request, own_tag=False, prefix_ids=self.tags.token_ids[tag])
                for request, tag in zip(requests, drawn, strict=True)
            ]
        )

    def split(self, prompts: list[list[int]], completions: list[Completion]) -> tuple[list[list[int]], list[list[int]]]:
        """Return the token ids with the tag among those that are not trained."""
        given = [
            [*ids, *self.tags.token_ids[completion.tag or 0]]
            for ids, completion in zip(prompts, completions, strict=True)
        ]
        return given, [list(completion.token_ids) for completion in completions]

    def learn(self, prompts: Sequence[str], completions: Sequence[Completion], rewards: Sequence[float]) -> None:
        """Take one step on the tags, before TRL takes its step: the rollouts were drawn from this very policy."""
        if not self.settings.router_learning_rate:
            return
        group = self.context.rollouts.group_size
        actions = torch.tensor([completion.tag for completion in completions]).view(-1, group)
        # Divided by the group's standard deviation, as TRL does for the traces.
        advantages = group_advantages(torch.tensor(rewards).view(-1, group), scale_by_std=True)
        with self._switched_on():
            log_probs = self._log_probs(prompts[::group])
            drawn = log_probs.gather(1, actions.to(log_probs.device))
            loss, _ = clipped_surrogate(drawn, drawn, advantages.to(drawn.device))
            # TRL trains the model's own weights: no gradient of this loss may reach them.
            gradients = torch.autograd.grad(loss, list(self.weights.values()))
        for weight, gradient in zip(self.weights.values(), gradients, strict=True):
            weight.grad = gradient
        torch.nn.utils.clip_grad_norm_(self.weights.values(), self.settings.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def save(self, folder: Path) -> None:
        """Write the router's weights and its optimiser."""
        weights = {name: weight.detach() for name, weight in self.weights.items()}
        torch.save({"weights": weights, "optimizer": self.optimizer.state_dict()}, folder / ROUTER_STATE)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        state = torch.load(folder / ROUTER_STATE, weights_only=True)
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(state["weights"][name])
        self.optimizer.load_state_dict(state["optimizer"])

    def finished(self, folder: Path) -> Any:
        """Write the router into the checkpoint; return the model without it."""
        self.router.base_model.enable_adapter_layers()
        save_router(self.router, folder)
        return self.router.unload()

    def _log_probs(self, prompts: Sequence[str]) -> Tensor:
        prompt_ids = [self.parent.encode(prompt) for prompt in prompts]
        log_probs: Tensor = router_log_probs(self.model, prompt_ids, self.tags, self.parent.tokenizer.pad_token_id)
        return log_probs

    @contextmanager
    def _switched_on(self) -> Iterator[None]:
        training = self.model.training
        self.router.base_model.enable_adapter_layers()
        self.model.eval()  # with dropout, tags would be trained on another policy than they were drawn from
        try:
            yield
        finally:
            self.model.train(training)
            self.router.base_model.disable_adapter_layers()
