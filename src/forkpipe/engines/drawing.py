"""Drawing by inverse transform: one uniform number decides, so that a draw depends on its request and nothing else."""

from collections.abc import Sequence
from typing import Any

from forkpipe.core.ids import derived_seed
from forkpipe.core.records import Request


def draw(scores: Any, uniforms: Any, temperature: Any, top_p: Any) -> Any:
    """Return the index that is drawn in each row, (B, 1).

    Args:
        scores: (B, K) logits in float32, -inf where nothing may be drawn.
        uniforms: (B, 1) in [0, 1).
        temperature: (B, 1), 0 takes the likeliest.
        top_p: (B, 1), the fewest likeliest whose probability reaches it are drawn from.
    """
    import torch

    probs = torch.softmax(scores / temperature.clamp(min=1e-6), dim=-1)
    ordered, indices = probs.sort(dim=-1, descending=True, stable=True)
    cumulative = ordered.cumsum(dim=-1)
    # Nucleus: the first is always among them.
    inside = cumulative - ordered < top_p
    mass = (ordered * inside).sum(dim=-1, keepdim=True)
    place = (cumulative <= uniforms * mass).sum(dim=-1, keepdim=True)
    place = torch.minimum(place, inside.sum(dim=-1, keepdim=True) - 1)
    place = torch.where(temperature > 0, place, torch.zeros_like(place))
    return indices.gather(1, place)


def draw_tags(log_probs: Any, requests: Sequence[Request]) -> list[int]:
    """Return the tag that each request draws from a policy over tags, (B, N), by its own seed and sampling."""
    import torch

    # Another seed than that of the completion's tokens: the same number would tie the first token to the tag.
    generators = [torch.Generator().manual_seed(derived_seed("tag", request.seed)) for request in requests]
    uniforms = torch.stack([torch.rand(1, generator=one) for one in generators])
    temperature = torch.tensor([[request.sampling.temperature] for request in requests])
    top_p = torch.tensor([[request.sampling.top_p] for request in requests])
    found: list[int] = draw(log_probs.float().cpu(), uniforms, temperature, top_p)[:, 0].tolist()
    return found
