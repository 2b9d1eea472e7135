"""Scoring without whole logits: the same numbers and gradients, only less memory."""

import pytest
import torch
from torch.nn import functional
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaConfig, LlamaForCausalLM

from forkpipe.training.scoring import head_is_last, next_tokens, token_nll
from forkpipe.training.sequences import IGNORED

SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZES))


def batch():
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1, 50, (3, 9), generator=generator)
    labels = ids.clone()
    labels[:, :3] = IGNORED
    labels[2, 6:] = IGNORED
    return ids, labels


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


def test_each_position_predicts_the_next_label():
    assert next_tokens(torch.tensor([[1, 2, 3]])).tolist() == [[2, 3, IGNORED]]


def test_nll_of_a_uniform_model_is_log_of_the_vocabulary(model):
    """With an output matrix of zeros every token has probability 1/50, so each NLL is ln 50 = 3.912."""
    model.lm_head.weight.data.zero_()
    ids, labels = batch()
    nll, _ = token_nll(model, next_tokens(labels), chunk=4, input_ids=ids)
    assert nll[0, 2:8].tolist() == pytest.approx([3.912023] * 6)
    assert nll[0, [0, 1, 8]].tolist() == [0, 0, 0]


@pytest.mark.parametrize("chunk", [1, 4, 7, 1000])
def test_chunks_change_neither_values_nor_gradients(model, chunk):
    ids, labels = batch()
    logits = model(input_ids=ids).logits
    expected = functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="none"
    ).view(3, 8)
    nll, _ = token_nll(model, next_tokens(labels), chunk=chunk, input_ids=ids)
    assert torch.allclose(nll[:, :-1], expected, atol=1e-6)
    for ours, theirs in zip(gradients(model, nll.sum()), gradients(model, expected.sum()), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)
    with torch.no_grad():
        alone, _ = token_nll(model, next_tokens(labels), chunk=chunk, input_ids=ids)
    assert torch.allclose(alone, nll, atol=1e-6)


def test_no_tensor_is_positions_by_vocabulary(model):
    """The largest product with the output matrix has `chunk` rows, in the forward and in the backward pass."""
    rows, original = [], functional.cross_entropy

    def watched(logits, *args, **kwargs):
        rows.append(logits.shape[0])
        return original(logits, *args, **kwargs)

    ids, labels = batch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(functional, "cross_entropy", watched)
        nll, output = token_nll(model, next_tokens(labels), chunk=4, input_ids=ids)
        nll.sum().backward()
    assert max(rows) == 4
    assert sum(rows) == 2 * (6 + 6 + 3)  # once forward, once again for the gradient
    assert output.logits is None


def test_the_output_matrix_works_as_before_also_after_an_error(model):
    ids, labels = batch()
    before = model(input_ids=ids).logits
    with pytest.raises(ValueError, match="input_ids"):
        token_nll(model, next_tokens(labels), chunk=4, nonsense=ids)
    assert "forward" not in vars(model.lm_head)
    assert torch.equal(model(input_ids=ids).logits, before)


def test_a_model_that_rescales_its_logits_is_scored_whole():
    torch.manual_seed(0)
    model = Gemma2ForCausalLM(Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=5.0))
    model.lm_head.weight.data *= 100
    assert not head_is_last(model)
    ids, labels = batch()
    with torch.no_grad():
        nll, _ = token_nll(model, next_tokens(labels), chunk=4, input_ids=ids)
        expected = -torch.log_softmax(model(input_ids=ids).logits.float(), -1)
    assert nll[0, 4].item() == pytest.approx(expected[0, 4, ids[0, 5]].item(), abs=1e-5)
