"""The policy objective: hand-derived values, gradients, the sampled estimator's limit."""

import math

import pytest
import torch

from forkpipe.core.policy import clipped_surrogate, entropy, exact_expectation, group_advantages, kl_to_reference


def test_value_and_gradient_by_hand():
    """Two tags, p = (1/2, 1/2), rewards (1, 0): J = 1/2. dJ/dz_0 = p_0 (R_0 - J) = 1/4, dJ/dz_1 = -1/4; the loss is
    minus the mean of J up to a constant, so its gradient is (-1/4, 1/4)."""
    logits = torch.zeros(1, 2, requires_grad=True)
    loss, metrics = exact_expectation(logits.log_softmax(-1), torch.tensor([[1.0, 0.0]]))
    loss.backward()
    assert metrics["reward"] == pytest.approx(0.5)
    assert metrics["groups_skipped"] == 0
    assert logits.grad[0].tolist() == pytest.approx([-0.25, 0.25])


def test_groups_of_equal_rewards_have_no_gradient_and_are_counted():
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    rewards = torch.tensor([[0.5, 0.5, 0.5], [1.0, 0.0, 0.0]])
    loss, metrics = exact_expectation(logits.log_softmax(-1), rewards)
    loss.backward()
    assert metrics["groups_skipped"] == 1
    assert logits.grad[0].abs().max().item() == pytest.approx(0.0, abs=1e-7)
    assert logits.grad[1].abs().max().item() > 0.01


def test_gradient_is_the_limit_of_the_sampled_estimator():
    """REINFORCE with 400,000 sampled tags: standard error of each entry below 1e-3."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.tensor([[0.3, -0.2, 0.9]], requires_grad=True)
    rewards = torch.tensor([[0.2, 0.9, 0.4]])
    loss, _ = exact_expectation(logits.log_softmax(-1), rewards)
    loss.backward()
    probs = logits.detach().softmax(-1)[0]
    actions = torch.multinomial(probs, 400_000, replacement=True, generator=generator)
    scores = torch.nn.functional.one_hot(actions, 3) - probs
    sampled = -(scores * rewards[0][actions][:, None]).mean(dim=0)
    assert logits.grad[0].tolist() == pytest.approx(sampled.tolist(), abs=4e-3)


def test_entropy_by_hand_and_its_pull_towards_uniform():
    """The entropy of (1/2, 1/2) is ln 2; its gradient at (2, 0) lowers the larger logit."""
    assert entropy(torch.tensor([[0.5, 0.5]]).log()).item() == pytest.approx(math.log(2))
    logits = torch.tensor([[2.0, 0.0]], requires_grad=True)
    entropy(logits.log_softmax(-1)).sum().backward()
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1]


def test_advantages_by_hand():
    """Rewards 1, 0, 0, 0: mean 1/4, so 3/4 and -1/4; the others' mean is 0 or 1/3, so 1 and -1/3; the standard
    deviation is 1/2, so 3/2 and -1/2."""
    rewards = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    assert group_advantages(rewards)[0].tolist() == pytest.approx([0.75, -0.25, -0.25, -0.25])
    assert group_advantages(rewards, baseline="leave_one_out")[0].tolist() == pytest.approx([1, -1 / 3, -1 / 3, -1 / 3])
    assert group_advantages(rewards, scale_by_std=True)[0].tolist() == pytest.approx([1.5, -0.5, -0.5, -0.5], abs=1e-3)


def test_a_group_of_one_has_no_advantage():
    with pytest.raises(ValueError, match="expected at least 2"):
        group_advantages(torch.ones(3, 1))


def test_clipped_surrogate_by_hand():
    """Ratio 2 with advantage 1 is clipped to 1.2 and has no gradient; with advantage -1 it is not clipped: -2, and its
    gradient to log p is -2. The loss is minus their mean, (-1.2 + 2) / 2; the second's gradient in it is +1."""
    log_probs = torch.log(torch.tensor([[0.4, 0.4]])).requires_grad_()
    loss, metrics = clipped_surrogate(log_probs, torch.log(torch.tensor([[0.2, 0.2]])), torch.tensor([[1.0, -1.0]]))
    loss.backward()
    assert loss.item() == pytest.approx(0.4)
    assert log_probs.grad[0].tolist() == pytest.approx([0.0, 1.0])
    assert metrics == {"clip_fraction": 0.5, "ratio": pytest.approx(2.0), "groups_skipped": 0}


def test_on_policy_the_surrogate_s_gradient_is_reinforce():
    log_probs = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    advantages = group_advantages(torch.rand(5, 4, generator=torch.Generator().manual_seed(1)))
    loss, _ = clipped_surrogate(log_probs, log_probs, advantages)
    loss.backward()
    assert torch.allclose(log_probs.grad, -advantages / advantages.numel())


def test_groups_without_variance_do_not_distort_the_mean():
    """A group of equal rewards beside another halves the mean and leaves the other's share as it is."""
    log_probs = torch.zeros(2, 2, requires_grad=True)
    advantages = group_advantages(torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
    loss, metrics = clipped_surrogate(log_probs, log_probs, advantages)
    loss.backward()
    assert metrics["groups_skipped"] == 1
    assert log_probs.grad.tolist() == [[0.0, 0.0], [-0.125, 0.125]]


def test_kl_by_hand():
    """KL((1/2, 1/2) || (1/4, 3/4)) = 1/2 log 2 + 1/2 log 2/3 = 1/2 log 4/3."""
    value = kl_to_reference(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log())
    assert value.item() == pytest.approx(0.5 * math.log(4 / 3))
