"""The policy objective: hand-derived values, gradients, the sampled estimator's limit."""

import math

import pytest
import torch

from forkpipe.core.policy import exact_expectation, kl_to_reference


def test_value_and_gradient_by_hand():
    """Two tags, p = (1/2, 1/2), rewards (1, 0): J = 1/2. dJ/dz_0 = p_0 (R_0 - J) = 1/4, dJ/dz_1 = -1/4; the loss is
    minus the mean of J up to a constant, so its gradient is (-1/4, 1/4)."""
    logits = torch.zeros(1, 2, requires_grad=True)
    loss, metrics = exact_expectation(logits.log_softmax(-1), torch.tensor([[1.0, 0.0]]), entropy_weight=0.0)
    loss.backward()
    assert metrics["reward"] == pytest.approx(0.5)
    assert metrics["entropy"] == pytest.approx(math.log(2))
    assert metrics["groups_skipped"] == 0
    assert logits.grad[0].tolist() == pytest.approx([-0.25, 0.25])


def test_groups_of_equal_rewards_have_no_gradient_and_are_counted():
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    rewards = torch.tensor([[0.5, 0.5, 0.5], [1.0, 0.0, 0.0]])
    loss, metrics = exact_expectation(logits.log_softmax(-1), rewards, entropy_weight=0.0)
    loss.backward()
    assert metrics["groups_skipped"] == 1
    assert logits.grad[0].abs().max().item() == pytest.approx(0.0, abs=1e-7)
    assert logits.grad[1].abs().max().item() > 0.01


def test_gradient_is_the_limit_of_the_sampled_estimator():
    """REINFORCE with 400,000 sampled tags: standard error of each entry below 1e-3."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.tensor([[0.3, -0.2, 0.9]], requires_grad=True)
    rewards = torch.tensor([[0.2, 0.9, 0.4]])
    loss, _ = exact_expectation(logits.log_softmax(-1), rewards, entropy_weight=0.0)
    loss.backward()
    probs = logits.detach().softmax(-1)[0]
    actions = torch.multinomial(probs, 400_000, replacement=True, generator=generator)
    scores = torch.nn.functional.one_hot(actions, 3) - probs
    sampled = -(scores * rewards[0][actions][:, None]).mean(dim=0)
    assert logits.grad[0].tolist() == pytest.approx(sampled.tolist(), abs=4e-3)


def test_entropy_bonus_pulls_towards_uniform():
    logits = torch.tensor([[2.0, 0.0]], requires_grad=True)
    loss, _ = exact_expectation(logits.log_softmax(-1), torch.zeros(1, 2), entropy_weight=1.0)
    loss.backward()
    assert logits.grad[0, 0] > 0 > logits.grad[0, 1]


def test_kl_by_hand():
    """KL((1/2, 1/2) || (1/4, 3/4)) = 1/2 log 2 + 1/2 log 2/3 = 1/2 log 4/3."""
    value = kl_to_reference(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log())
    assert value.item() == pytest.approx(0.5 * math.log(4 / 3))
