"""Batched sampling from a checkpoint in this process, with transformers' models and caches.

Each request is sampled with its own seed by inverse transform: one uniform number per token, from a generator seeded
by the request. So a completion depends on its request and the weights, not on the other requests in the batch (up to
rounding, which the padding of a batch can change).

transformers' `generate` computes a batch until its longest text has ended, and returns nothing before. The loop in this
module yields a completion as soon as it has ended, and removes ended rows from the cache.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from forkpipe.core.engine import Engine
from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags, parse_tags
from forkpipe.core.records import Completion, Request
from forkpipe.engines.drawing import Sampler, draw_tags
from forkpipe.models.checkpoint import Checkpoint, chat_template

KEEP_SHARE = 0.75
"""Ended rows are removed when at most this share of the batch is still running, because removing copies the cache."""


class TransformersEngine(Engine):
    """Completes requests with a causal language model.

    Args:
        model: checkpoint folder or hub name; forking tags need a folder with forking.json.
        revision: revision on the hub.
        batch_rows: sequences generated at a time.
        chat: whether prompts are user messages for the model's chat template.
        tags: tags of a model without forking.json, such as "text:6", or "none" to ban none of those that it has.
    """

    version = "1"

    def __init__(
        self, *, model: str, revision: str = "main", batch_rows: int = 64, chat: bool = False, tags: str | None = None
    ) -> None:
        if batch_rows < 1:
            raise InputError(f"batch_rows is {batch_rows}, expected at least 1")
        self.identity = f"transformers {model} {revision} chat={chat}"
        if tags is not None:
            parse_tags(tags)
            self.identity += f" tags={tags}"
        self._checkpoint = Checkpoint(model, revision, tags_given=tags)
        self._batch_rows = batch_rows
        self._chat = chat
        self._checked = False
        """Whether the chat template is known to be there."""
        self._model: Any = None
        self._encoded: dict[str, list[int]] = {}
        """Token ids of the prompts of one call of `generate`: many requests have the same."""
        self._router = False
        """Whether `_model` has the router's adapter."""

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield completions as they end, batch by batch; requests of similar length share a batch.

        So do requests with one tag, whose texts are often of like length: fewer rows wait for the longest.
        """
        ordered = sorted(requests, key=lambda request: (len(request.prompt), request.prefix_ids, request.request_id))
        self._encoded = {}
        for start in range(0, len(ordered), self._batch_rows):
            yield from self._batch(ordered[start : start + self._batch_rows])

    def routed(self, requests: Sequence[Request]) -> list[Request]:
        """Return the requests with `own_tag` replaced by a tag that the router draws, if the checkpoint has one."""
        with_tags: list[Request] = []
        for start in range(0, len(requests), self._batch_rows):
            with_tags += self._routed(requests[start : start + self._batch_rows])
        return with_tags

    def samples_held(self, problem: str) -> int | None:
        """Any number of samples; InputError if there is no chat template where one is needed."""
        if self._chat and not self._checked:
            try:
                tokenizer = self._checkpoint.tokenizer
            except (OSError, ValueError):
                return None  # nothing may be left to ask
            chat_template(tokenizer, remedy="name it default in its tokenizer, or set options.chat: false")
            self._checked = True
        return None

    def close(self) -> None:
        """Free the model."""
        self._model = None

    def _load(self) -> Any:
        """Return the model, with its router if the checkpoint has one."""
        if self._model is None:
            checkpoint = self._checkpoint
            if checkpoint.tokenizer.pad_token_id is None:
                checkpoint.tokenizer.pad_token = checkpoint.tokenizer.eos_token
            model = checkpoint.load_model("auto", to_device=True).eval()
            self._router = checkpoint.has_router
            self._model = checkpoint.load_router(model).eval() if self._router else model
        return self._model

    def _batch(self, requests: Sequence[Request]) -> Iterator[Completion]:
        import torch

        from forkpipe.models.padding import left_padded

        started = time.perf_counter()
        model, checkpoint = self._load(), self._checkpoint
        tags = checkpoint.tags if checkpoint.has_tags else None
        requests = self._routed(requests)
        if tags is None and any(request.own_tag for request in requests):
            raise InputError(f"model {checkpoint.name} has no forking.json, expected a checkpoint with forking tags")
        prompts = [[*self._encode(request.prompt), *request.prefix_ids] for request in requests]
        ids, mask, positions = left_padded(prompts, checkpoint.tokenizer.pad_token_id, model.device)
        sampler = Sampler(requests, tags, model.device)
        ending = torch.tensor(sorted(checkpoint.stop_ids), device=model.device)
        rows = list(range(len(requests)))  # the index of each row's request; rows that have ended are taken out
        live = torch.ones(len(rows), dtype=torch.bool, device=model.device)
        written = torch.empty(len(rows), 0, dtype=torch.long, device=model.device)
        cache = None
        while True:
            cache, logits = self._forward(ids, mask, positions, cache)
            chosen = sampler(written, logits)
            written = torch.cat([written, chosen], dim=1)
            ended = live & (torch.isin(chosen[:, 0], ending) | (sampler.limits <= written.shape[1]))
            if bool(ended.any()):
                seconds = time.perf_counter() - started
                for row in ended.nonzero()[:, 0].tolist():
                    index = rows[row]
                    new_ids = written[row].tolist()
                    yield self._completion(requests[index], new_ids, len(prompts[index]), tags, seconds)
                live = live & ~ended
                left = int(live.sum())
                if not left:
                    return
                if left <= KEEP_SHARE * len(rows):
                    kept = live.nonzero()[:, 0]
                    rows = [rows[row] for row in kept.tolist()]
                    cache.batch_select_indices(kept)
                    sampler.keep(kept)
                    live, written, chosen = live[kept], written[kept], chosen[kept]
                    mask, positions = mask[kept], positions[kept]
            ids = chosen
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            positions = positions[:, -1:] + 1

    def _forward(self, ids: Any, mask: Any, positions: Any, cache: Any) -> tuple[Any, Any]:
        """Return the key-value cache and the last position's logits, (B, V) in float32."""
        import torch

        model = self._load()
        # The router picks tags; the text after a tag is written by the model itself.
        without_router = model.disable_adapter() if self._router else nullcontext()
        with torch.inference_mode(), without_router:
            output = model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            return output.past_key_values, output.logits[:, -1].float()

    def _routed(self, requests: Sequence[Request]) -> Sequence[Request]:
        """Do the same as `routed`, in one batch."""
        asking = [request for request in requests if request.own_tag]
        model, checkpoint = self._load(), self._checkpoint
        if not self._router or not asking or not checkpoint.has_tags:
            return requests
        import torch

        from forkpipe.models.router import router_log_probs

        prompts = [self._encode(request.prompt) for request in asking]
        with torch.inference_mode():
            log_probs = router_log_probs(model, prompts, checkpoint.tags, checkpoint.tokenizer.pad_token_id)
        drawn = draw_tags(log_probs, asking)
        tag_of = {
            request.request_id: checkpoint.tags.token_ids[tag] for request, tag in zip(asking, drawn, strict=True)
        }
        return [
            replace(request, own_tag=False, prefix_ids=tag_of[request.request_id]) if request.own_tag else request
            for request in requests
        ]

    def _encode(self, prompt: str) -> list[int]:
        if prompt not in self._encoded:
            self._encoded[prompt] = self._checkpoint.encode(self._checkpoint.prompt(prompt) if self._chat else prompt)
        return self._encoded[prompt]

    def _completion(
        self, request: Request, ids: list[int], tokens_in: int, tags: ForkingTags | None, seconds: float
    ) -> Completion:
        stop_ids, tokenizer = self._checkpoint.stop_ids, self._checkpoint.tokenizer
        tag = None
        if tags is not None and request.own_tag:
            tag = tags.index_of(ids)
            ids = ids[tags.length :]
        elif tags is not None and request.prefix_ids:
            tag = tags.index_of(request.prefix_ids)
        stop = next((position for position, token in enumerate(ids) if token in stop_ids), len(ids))
        # The end token counts towards the limit, as in transformers. A batch runs to the largest of its limits.
        limit = request.sampling.max_tokens
        kept = ids[: min(stop, limit)]
        finished = stop < min(len(ids), limit)
        return Completion(
            request.request_id,
            text=tokenizer.decode(kept, skip_special_tokens=True),
            token_ids=tuple(kept),
            tag=tag,
            tokens_in=tokens_in,
            tokens_out=len(kept),
            finish_reason="stop" if finished else "length",
            seconds=seconds,
            end_id=ids[stop] if finished else None,
        )
