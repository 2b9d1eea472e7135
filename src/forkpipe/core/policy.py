"""Policy objectives over forking tags: GFPO (paper, section on GFPO).

The action is the tag, one of N. Rewards are tabulated under every tag (a stratified group), so the expectation over the
action is taken exactly instead of by sampling:

    J(x) = sum_i p(g_i | x) * R(x, g_i)

R is the mean verified reward under tag i. Its gradient is that of REINFORCE with every action drawn in proportion to
its probability, without the sampling noise. This deviates from the paper, which samples its groups.
"""

import torch
from torch import Tensor


def exact_expectation(log_probs: Tensor, rewards: Tensor, *, entropy_weight: float) -> tuple[Tensor, dict[str, float]]:
    """Return minus the mean over problems of the expected reward, and what happened.

    Problems whose tags all earn the same reward have no gradient: they stay in the batch (a mean over the rest would
    change its meaning from step to step) and are counted in `groups_skipped`.

    Args:
        log_probs: (B, N) log p(g_i | x), normalised over the N tags.
        rewards: (B, N) mean reward under each tag, 0 to 1.
        entropy_weight: weight of the policy's entropy (nats) in the objective, 0 leaves it out.

    Returns:
        (scalar loss, metrics): reward (expected, 0 to 1), entropy (nats) and groups_skipped.
    """
    probs = log_probs.exp()
    # Subtracting the group's mean changes no gradient (probabilities sum to 1); it keeps the float sums small.
    advantages = rewards - rewards.mean(dim=-1, keepdim=True)
    objective = (probs * advantages).sum(dim=-1)
    entropy = -(probs * log_probs).sum(dim=-1)
    loss = -(objective + entropy_weight * entropy).mean()
    with torch.no_grad():
        metrics = {
            "reward": float((probs * rewards).sum(dim=-1).mean()),
            "entropy": float(entropy.mean()),
            "groups_skipped": int((rewards == rewards[:, :1]).all(dim=-1).sum()),
        }
    return loss, metrics


def kl_to_reference(log_probs: Tensor, reference: Tensor) -> Tensor:
    """Return KL(p || reference) over the tags, nats, (B,).

    Args:
        log_probs: (B, N).
        reference: (B, N), the log-probabilities before the first update.
    """
    return (log_probs.exp() * (log_probs - reference)).sum(dim=-1)
