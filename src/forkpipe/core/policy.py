"""Policy objectives over forking tags: GFPO (paper, section on GFPO).

The action is the tag, one of N; completions are sampled only for their rewards. If there are rewards under every tag (a
stratified group), the expectation over the action is computed exactly instead of by sampling:

    J(x) = sum_i p(g_i | x) * R(x, g_i)

R is the mean verified reward under tag i. The gradient of J is the expected gradient of REINFORCE, without its sampling
noise. The paper samples its groups; `clipped_surrogate` is that objective, the one of GRPO. Shapes: B problems, N tags,
G draws for each problem.
"""

import torch
from torch import Tensor

from forkpipe.core.records import Baseline

STD_FLOOR = 1e-4
"""Added to a group's standard deviation, as GRPO's implementations do."""


def group_advantages(rewards: Tensor, *, baseline: Baseline = "mean", scale_by_std: bool = False) -> Tensor:
    """Return the advantage of each draw over its group, (B, G).

    Args:
        rewards: (B, G).
        baseline: see `Baseline`; leave-one-out is unbiased and G / (G - 1) times as large as with the mean.
        scale_by_std: divide by the group's standard deviation (G - 1 in its denominator), as GRPO does. This gives more
            weight to problems that are almost always or almost never solved.
    """
    size = rewards.shape[-1]
    if size < 2:
        raise ValueError(f"groups have {size} draws, expected at least 2")
    centred = rewards - rewards.mean(dim=-1, keepdim=True)
    if baseline == "leave_one_out":
        centred = centred * (size / (size - 1))
    if scale_by_std:
        centred = centred / (rewards.std(dim=-1, keepdim=True) + STD_FLOOR)
    return centred


def clipped_surrogate(
    log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, *, epsilon: float = 0.2
) -> tuple[Tensor, dict[str, float]]:
    """Return GRPO's clipped objective of the drawn tags as a loss, and metrics (Schulman et al. 2017, eq. 7).

    Draws of groups without variance have advantage 0 and add nothing to the sum. The mean still counts them, so that it
    means the same in every step.

    Args:
        log_probs: (B, G) log p of each drawn tag under the policy that is trained.
        old_log_probs: (B, G) under the policy that drew them; without gradient.
        advantages: (B, G).
        epsilon: the ratio of the two is clipped to 1 - epsilon, 1 + epsilon.

    Returns:
        (scalar loss, metrics): clip_fraction (share of draws whose gradient the clipping removed), ratio (mean),
        groups_skipped.
    """
    ratio = (log_probs - old_log_probs.detach()).exp()
    unclipped, clipped = ratio * advantages, ratio.clamp(1 - epsilon, 1 + epsilon) * advantages
    with torch.no_grad():
        metrics = {
            "clip_fraction": float((clipped < unclipped).float().mean()),
            "ratio": float(ratio.mean()),
            "groups_skipped": int((advantages == 0).all(dim=-1).sum()),
        }
    return -torch.minimum(unclipped, clipped).mean(), metrics


def exact_expectation(log_probs: Tensor, rewards: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Return minus the mean over problems of the expected reward, and metrics.

    Problems whose tags all earn the same reward have no gradient. The mean counts them, as above.

    Args:
        log_probs: (B, N) log p(g_i | x), normalised over the N tags.
        rewards: (B, N) mean reward under each tag, 0 to 1.

    Returns:
        (scalar loss, metrics): reward (expected, 0 to 1) and groups_skipped.
    """
    probs = log_probs.exp()
    # Subtracting the group's mean changes no gradient (probabilities sum to 1); it keeps the float sums small.
    advantages = rewards - rewards.mean(dim=-1, keepdim=True)
    loss = -(probs * advantages).sum(dim=-1).mean()
    with torch.no_grad():
        metrics = {
            "reward": float((probs * rewards).sum(dim=-1).mean()),
            "groups_skipped": int((rewards == rewards[:, :1]).all(dim=-1).sum()),
        }
    return loss, metrics


def entropy(log_probs: Tensor) -> Tensor:
    """Return the entropy over the tags, nats, (B,), of log-probabilities (B, N) that are normalised over them."""
    return -(log_probs.exp() * log_probs).sum(dim=-1)


def kl_to_reference(log_probs: Tensor, reference: Tensor) -> Tensor:
    """Return KL(p || reference) over the tags, nats, (B,).

    Args:
        log_probs: (B, N).
        reference: (B, N), the log-probabilities before the first update.
    """
    return (log_probs.exp() * (log_probs - reference)).sum(dim=-1)
