"""Scoring without whole logits: the same numbers and gradients, only less memory."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaConfig, LlamaForCausalLM

from forkpipe.training.scoring import head_is_last, next_tokens, summed_kl, token_nll
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


class Products(TorchDispatchMode):
    """Keeps the sizes of products with the output matrix: those whose rows are as long as the vocabulary."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.bmm) and result.shape[-1] == 50:
            self.sizes.append(result.numel())
        return result


def divergence(model, teacher, chunk):
    """Return (KL, the largest product of positions and words)."""
    ids, labels = batch()
    chosen = next_tokens(labels) != IGNORED
    with Products() as products:
        loss = summed_kl(model, teacher, chosen, chunk=chunk, before=nullcontext(), input_ids=ids)
    return loss, max(products.sizes)


def moved(model):
    """A copy of the model whose weights are others, without gradient."""
    teacher = copy.deepcopy(model).requires_grad_(False)
    for parameter in teacher.parameters():
        parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2))
    return teacher


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("chunk", [1, 4, 7])
def test_a_divergence_by_chunks_is_the_whole_one(chunk, tied):
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=tied)).double()
    teacher = moved(model)
    ids, labels = batch()
    chosen = next_tokens(labels) != IGNORED
    now, then = (one(input_ids=ids).logits[chosen].log_softmax(-1) for one in (model, teacher))
    expected = (then.exp() * (then - now)).sum()  # the definition
    wanted = gradients(model, expected)
    for size in (chunk, 1000):
        loss, largest = divergence(model, teacher, size)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
        assert expected.item() > 0.01
        for ours, theirs in zip(gradients(model, loss), wanted, strict=True):
            assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)
        # Whole: 3 x 9 positions of 50 words.
        assert largest <= 50 * chunk if size == chunk else largest == 50 * 27
    assert "forward" not in vars(model.lm_head)
    assert "forward" not in vars(teacher.lm_head)


def test_an_adapter_s_model_before_is_the_one_without_it(model):
    """Low-rank layers and rows of the output matrix: the logits before are those of the matrix as it was."""
    from peft import LoraConfig, get_peft_model

    rows = {"lm_head": [3, 7]}
    config = LoraConfig(r=2, target_modules="all-linear", trainable_token_indices=rows, init_lora_weights=False)
    routed = get_peft_model(model.double(), config)
    for name, parameter in routed.named_parameters():
        if "trainable_tokens" in name:
            parameter.data += 1.0
    ids, labels = batch()
    chosen = next_tokens(labels) != IGNORED
    with torch.no_grad():
        now = routed(input_ids=ids).logits[chosen].log_softmax(-1)
        with routed.disable_adapter():
            then = routed(input_ids=ids).logits[chosen].log_softmax(-1)
    expected = (then.exp() * (then - now)).sum().item()
    assert expected > 0.5
    found = {}
    for chunk in (4, 1000):
        routed.zero_grad()
        ids, labels = batch()
        before = routed.disable_adapter()
        loss = summed_kl(routed, routed, chosen, chunk=chunk, before=before, input_ids=ids)
        assert loss.item() == pytest.approx(expected, rel=1e-12)
        loss.backward()
        found[chunk] = {name: one.grad.clone() for name, one in routed.named_parameters() if one.grad is not None}
    assert found[4].keys() == found[1000].keys()
    assert any("trainable_tokens" in name for name in found[4])
    for name, gradient in found[1000].items():
        assert torch.allclose(found[4][name], gradient, rtol=0, atol=1e-12), name


def test_a_model_that_rescales_its_logits_diverges_as_a_whole():
    torch.manual_seed(0)
    model = Gemma2ForCausalLM(Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=2.0)).double()
    teacher = moved(model)
    whole, _ = divergence(model, teacher, 1000)
    cut, _ = divergence(model, teacher, 4)
    assert cut.item() == pytest.approx(whole.item(), rel=1e-12)
    assert whole.item() > 0.001
