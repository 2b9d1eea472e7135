"""Batched sampling from a checkpoint in this process, with transformers' own generate.

Each request is drawn with its own seed by inverse transform sampling: one uniform number a token, from a generator
seeded by the request. So a completion depends on its request and the weights, not on what else is in the batch (up
to rounding, which the padding of a batch can change).
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.core.records import Completion, Request
from forkpipe.engines.drawing import draw, draw_tags


class TransformersEngine:
    """Completes requests with a causal language model.

    Args:
        model: checkpoint folder or hub name; forking tags are known where the folder holds forking.json.
        revision: revision on the hub.
        batch_rows: sequences generated at a time.
        chat: whether prompts of teachers are user messages for the model's chat template.
    """

    version = "1"

    def __init__(self, *, model: str, revision: str = "main", batch_rows: int = 64, chat: bool = False) -> None:
        if batch_rows < 1:
            raise InputError(f"batch_rows is {batch_rows}, expected at least 1")
        self.identity = f"transformers {model} {revision} chat={chat}"
        self._name = model
        self._revision = revision
        self._batch_rows = batch_rows
        self._chat = chat
        self._loaded: tuple[Any, Any, ForkingTags | None] | None = None
        self._router = False

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield completions batch by batch; requests of like length share a batch."""
        ordered = sorted(requests, key=lambda request: (len(request.prompt), request.request_id))
        for start in range(0, len(ordered), self._batch_rows):
            yield from self._batch(ordered[start : start + self._batch_rows])

    def samples_held(self, problem: str) -> int | None:
        """Any number of samples."""
        return None

    def close(self) -> None:
        """Free the model."""
        self._loaded = None

    def _load(self) -> tuple[Any, Any, ForkingTags | None]:
        if self._loaded is None:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

            from forkpipe.training.checkpoint import FORKING_FILE, end_tokens, load_tags, without_progress_bars
            from forkpipe.training.router import has_router, load_router

            folder = Path(self._name)
            if folder.exists():
                without_progress_bars()
            tokenizer = AutoTokenizer.from_pretrained(self._name, revision=self._revision, padding_side="left")
            tags = load_tags(folder, tokenizer) if (folder / FORKING_FILE).exists() else None
            model = AutoModelForCausalLM.from_pretrained(
                self._name, revision=self._revision, dtype="auto", use_safetensors=True
            )
            model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
            if tokenizer.pad_token_id is None:
                tokenizer.pad_token = tokenizer.eos_token
            # The model's own settings could hold penalties that no request asked for.
            ends = sorted(end_tokens(model, tokenizer))
            model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=tokenizer.pad_token_id)
            self._router = has_router(folder)
            if self._router:
                model = load_router(model, folder).eval()
            self._loaded = model, tokenizer, tags
        return self._loaded

    def _batch(self, requests: Sequence[Request]) -> list[Completion]:
        import torch

        from forkpipe.training.checkpoint import end_tokens

        started = time.perf_counter()
        model, tokenizer, tags = self._load()
        requests = self._routed(requests)
        ends = end_tokens(model, tokenizer) | {tokenizer.pad_token_id}
        if tags is None and any(request.own_tag for request in requests):
            raise InputError(f"model {self._name} has no forking.json, expected a checkpoint with forking tags")
        rows = [[*self._encode(tokenizer, request.prompt), *request.prefix_ids] for request in requests]
        length = max(map(len, rows))
        pad = tokenizer.pad_token_id
        input_ids = torch.tensor([[pad] * (length - len(row)) + row for row in rows], device=model.device)
        mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows], device=model.device)
        limit = max(request.sampling.max_tokens for request in requests)
        if tags is not None and any(request.own_tag for request in requests):
            limit += tags.length  # the tag does not count towards a completion's tokens
        # The router picks tags; what follows is written by the model itself.
        itself = model.disable_adapter() if self._router else nullcontext()
        with torch.inference_mode(), itself:
            output = model.generate(
                input_ids=input_ids,
                attention_mask=mask,
                max_new_tokens=limit,
                do_sample=False,
                logits_processor=[make_sampler(requests, tags, length, limit, model.device)],
            )
        seconds = (time.perf_counter() - started) / len(requests)
        new_ids = output[:, length:].tolist()
        return [
            self._completion(request, ids, len(row), tokenizer, tags, ends, seconds)
            for request, ids, row in zip(requests, new_ids, rows, strict=True)
        ]

    def _routed(self, requests: Sequence[Request]) -> Sequence[Request]:
        """Return requests whose own tag the router has drawn, where the checkpoint has one."""
        asking = [request for request in requests if request.own_tag]
        model, tokenizer, tags = self._load()
        if not self._router or not asking or tags is None:
            return requests
        import torch

        from forkpipe.training.router import router_log_probs

        prompts = [self._encode(tokenizer, request.prompt) for request in asking]
        with torch.inference_mode():
            log_probs = router_log_probs(model, prompts, tags, tokenizer.pad_token_id)
        drawn = draw_tags(log_probs, asking)
        chosen = {one.request_id: tags.token_ids[tag] for one, tag in zip(asking, drawn, strict=True)}
        return [
            replace(one, own_tag=False, prefix_ids=chosen[one.request_id]) if one.request_id in chosen else one
            for one in requests
        ]

    def _encode(self, tokenizer: Any, prompt: str) -> list[int]:
        if self._chat:
            from forkpipe.training.checkpoint import render_prompt

            prompt = render_prompt(tokenizer, prompt)
        ids: list[int] = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        return ids

    def _completion(
        self,
        request: Request,
        ids: list[int],
        tokens_in: int,
        tokenizer: Any,
        tags: ForkingTags | None,
        ends: set[int],
        seconds: float,
    ) -> Completion:
        tag = None
        if tags is not None and request.own_tag:
            tag = tags.index_of(ids)
            ids = ids[tags.length :]
        elif tags is not None and request.prefix_ids:
            tag = tags.index_of(request.prefix_ids)
        stop = next((position for position, token in enumerate(ids) if token in ends), len(ids))
        # The end token counts, as everywhere in transformers; what others of the batch were allowed does not.
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
        )


def make_sampler(requests: Sequence[Request], tags: ForkingTags | None, start: int, limit: int, device: Any) -> Any:
    """Return a logits processor that draws each row's next token and leaves no other possible.

    A request with `own_tag` draws its first tokens among the tags only. Once its place is past, a tag is banned: traces
    were never trained to hold one, and GFPO in scope head changes how likely they are everywhere.

    Args:
        requests: one a row.
        tags: the checkpoint's tags.
        start: tokens before the first new one, padding included.
        limit: new tokens at most.
        device: of the logits.
    """
    import torch
    from transformers import LogitsProcessor

    uniforms = torch.stack(
        [torch.rand(limit, generator=torch.Generator().manual_seed(request.seed)) for request in requests]
    ).to(device)
    temperature = torch.tensor([request.sampling.temperature for request in requests], device=device)[:, None]
    top_p = torch.tensor([request.sampling.top_p for request in requests], device=device)[:, None]
    own = torch.tensor([request.own_tag for request in requests], device=device)
    banned: list[int] = []
    if tags is not None:
        # A text tag is made of ordinary tokens (its digit is used everywhere); its first token opens no other text.
        banned = [ids[0] for ids in tags.token_ids]

    class Sampler(LogitsProcessor):
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            step = input_ids.shape[1] - start
            scores = scores.float()
            allowed = torch.ones_like(scores, dtype=torch.bool)
            if banned:
                allowed[:, banned] = False
            if tags is not None and step < tags.length and bool(own.any()):
                allowed[own] = False
                for ids in tags.token_ids:
                    begun = (input_ids[:, start:] == torch.tensor(ids[:step], device=device, dtype=torch.long)).all(
                        dim=1
                    )
                    allowed[own & begun, ids[step]] = True
            scores = scores.masked_fill(~allowed, float("-inf"))
            chosen = draw(scores, uniforms[:, step : step + 1], temperature, top_p)
            return torch.full_like(scores, float("-inf")).scatter(1, chosen, 0.0)

    return Sampler()
