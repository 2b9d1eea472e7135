"""Losses with values derived by hand."""

import pytest
import torch

from forkpipe.core.losses import set_loss, tag_log_probs


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
