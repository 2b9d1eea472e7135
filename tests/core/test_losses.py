"""Losses with values derived by hand."""

import math

import pytest
import torch

from forkpipe.core.losses import prefix_cost, set_loss, tag_log_probs, token_nll


def test_token_nll_of_a_uniform_and_a_certain_token():
    """Vocabulary of 4. Position 1 is predicted by equal logits: log 4. Position 2 by logit 10 for the right token
    and 0 for three others: log(1 + 3 e^-10). Position 0 is predicted by nothing: 0."""
    logits = torch.zeros(1, 3, 4)
    logits[0, 1, 2] = 10.0
    nll = token_nll(logits, torch.tensor([[3, 1, 2]]))
    assert nll[0].tolist() == pytest.approx([0.0, math.log(4), math.log(1 + 3 * math.exp(-10))], abs=1e-6)


def test_prefix_cost_takes_the_first_l_tokens_of_the_trace_only():
    """NLLs 9 9 (prompt, tag) 1 2 3 (trace): L = 2 gives (1 + 2) / 2; the whole trace (1 + 2 + 3) / 3; L = 5 too."""
    nll = torch.tensor([[9.0, 9.0, 1.0, 2.0, 3.0]])
    mask = torch.tensor([[False, False, True, True, True]])
    assert prefix_cost(nll, mask, 2).item() == 1.5
    assert prefix_cost(nll, mask, None).item() == 2.0
    assert prefix_cost(nll, mask, 5).item() == 2.0


def test_set_loss_has_two_denominators():
    """Trace NLLs 1 + 2 over 3 tokens of the step, tag NLL 4 over 2 tags of the step, weight .5: 1 + .5 * 2 = 2."""
    nll = torch.tensor([[0.0, 4.0, 1.0, 2.0]])
    trace, tag = torch.tensor([[False, False, True, True]]), torch.tensor([[False, True, False, False]])
    loss, metrics = set_loss(nll, trace, tag, tag_weight=0.5, trace_tokens=3, tag_tokens=2)
    assert loss.item() == pytest.approx(2.0)
    assert metrics == {"trace_loss": pytest.approx(1.0), "tag_loss": pytest.approx(2.0)}


def test_tag_log_probs_are_normalised_over_the_tags_alone():
    """Logits 1 and 1 for the tags, 50 for another token: each tag has 1/2."""
    logits = torch.tensor([[1.0, 50.0, 1.0]])
    assert tag_log_probs(logits, torch.tensor([0, 2])).exp()[0].tolist() == pytest.approx([0.5, 0.5])
