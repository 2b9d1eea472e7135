"""Sampling by inverse transform: a draw takes one uniform number, so it depends on its request and nothing else."""

from collections.abc import Sequence
from typing import Any

from forkpipe.core.forking import ForkingTags
from forkpipe.core.ids import derived_seed
from forkpipe.core.records import Request


def draw(scores: Any, uniforms: Any, temperature: Any, top_p: Any) -> Any:
    """Draw an index in each row; return them, (B, 1).

    Args:
        scores: (B, K) logits in float32, -inf for indices that may not be drawn.
        uniforms: (B, 1) in [0, 1).
        temperature: (B, 1), 0 takes the most likely index.
        top_p: (B, 1), draw from the smallest set of most likely indices whose probability reaches it.
    """
    import torch

    probs = torch.softmax(scores / temperature.clamp(min=1e-6), dim=-1)
    ordered, indices = probs.sort(dim=-1, descending=True, stable=True)
    cumulative = ordered.cumsum(dim=-1)
    # The nucleus; the most likely index is always in it.
    inside = cumulative - ordered < top_p
    mass = (ordered * inside).sum(dim=-1, keepdim=True)
    place = (cumulative <= uniforms * mass).sum(dim=-1, keepdim=True)
    place = torch.minimum(place, inside.sum(dim=-1, keepdim=True) - 1)
    place = torch.where(temperature > 0, place, torch.zeros_like(place))
    return indices.gather(1, place)


class Sampler:
    """Draws the next token of every row of a batch, with the seed and settings of the row's request.

    A request with `own_tag` draws its first tokens among the tags only. After that tags are banned
    (`ForkingTags.banned_ids`).
    """

    def __init__(self, requests: Sequence[Request], tags: ForkingTags | None, device: Any) -> None:
        import torch

        # A tag that the model writes does not count towards a completion's tokens.
        tag_length = tags.length if tags is not None else 0
        limits = [request.sampling.max_tokens + tag_length * request.own_tag for request in requests]
        self.limits = torch.tensor(limits, device=device)
        self._uniforms = torch.stack(
            [torch.rand(max(limits), generator=torch.Generator().manual_seed(request.seed)) for request in requests]
        ).to(device)
        settings = [request.sampling for request in requests]
        self._temperature = torch.tensor([sampling.temperature for sampling in settings], device=device)[:, None]
        self._top_p = torch.tensor([sampling.top_p for sampling in settings], device=device)[:, None]
        self._own = torch.tensor([request.own_tag for request in requests], device=device)
        self._any_own = any(request.own_tag for request in requests)
        self._greedy = all(sampling.temperature == 0 for sampling in settings)
        self._tags = tags
        self._banned = tags.banned_ids if tags is not None else []

    def __call__(self, written: Any, logits: Any) -> Any:
        """Draw the next tokens; return them, (B, 1).

        Args:
            written: (B, t), the new tokens so far.
            logits: (B, V) in float32.
        """
        import torch

        step = written.shape[1]
        if self._tags is not None:
            allowed = torch.ones_like(logits, dtype=torch.bool)
            allowed[:, self._banned] = False
            if self._any_own and step < self._tags.length:
                allowed[self._own] = False
                for ids in self._tags.token_ids:
                    begun = (written == torch.tensor(ids[:step], device=logits.device, dtype=torch.long)).all(dim=1)
                    allowed[self._own & begun, ids[step]] = True
            logits = logits.masked_fill(~allowed, float("-inf"))
        if self._greedy:
            return logits.argmax(dim=-1, keepdim=True)  # no need to sort the vocabulary
        return draw(logits, self._uniforms[:, step : step + 1], self._temperature, self._top_p)

    def keep(self, rows: Any) -> None:
        """Keep the rows with these indices and drop the others."""
        self.limits = self.limits[rows]
        self._uniforms = self._uniforms[rows]
        self._temperature, self._top_p, self._own = self._temperature[rows], self._top_p[rows], self._own[rows]


def draw_tags(log_probs: Any, requests: Sequence[Request]) -> list[int]:
    """Draw a tag for each request; return their indices.

    Args:
        log_probs: (B, N), the policy over tags.
        requests: B requests, whose seeds and sampling settings are used.
    """
    import torch

    # Not the seed of the completion's tokens: the same number would tie the first token to the tag.
    generators = [torch.Generator().manual_seed(derived_seed("tag", request.seed)) for request in requests]
    uniforms = torch.stack([torch.rand(1, generator=generator) for generator in generators])
    temperature = torch.tensor([[request.sampling.temperature] for request in requests])
    top_p = torch.tensor([[request.sampling.top_p] for request in requests])
    tags: list[int] = draw(log_probs.float().cpu(), uniforms, temperature, top_p)[:, 0].tolist()
    return tags
