"""Matching costs: prompts computed once or again for every branch, in parts or at once, in any company."""

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from forkpipe.training.costs import CostSettings, matching_costs
from forkpipe.training.sequences import SetCollator

SIZES = {
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}
PADDING = 0


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES))
    for parameter in model.parameters():
        parameter.data *= 3  # far from uniform: errors would show
    return model


def row(index, prompt, traces, prefix=0):
    return {"index": index, "prompt": prompt, "traces": traces, "prefix_length": prefix}


def problems(prefix=0, seed=0, n=4, prompt_lengths=(3, 9, 1, 6)):
    draw = np.random.default_rng(seed)
    return [
        row(
            i,
            draw.integers(1, 50, prompt_lengths[i]).tolist(),
            [draw.integers(1, 50, int(draw.integers(2, 14))).tolist() for _ in range(1 + i % 4)],
            prefix,
        )
        for i in range(n)
    ]


def costs(model, rows, tag_ids, **settings):
    batch = SetCollator(tag_length=tag_ids.shape[1], pad_id=PADDING)(rows)
    defaults = {"tokens": 10_000, "logit_chunk": 64}
    return matching_costs(model, batch, list(range(len(rows))), tag_ids, CostSettings(**{**defaults, **settings}))


ONE = torch.tensor([[50], [51], [52], [53], [54]])
THREE = torch.tensor([[50, 51, 55], [50, 52, 55], [50, 53, 55], [50, 54, 55]])


def one_at_a_time(model, one, tag, prefix):
    """The definition: mean of -log p over the first L trace tokens, from a forward pass of one sequence."""
    result = np.zeros((len(tag), len(one["traces"])))
    for i, ids in enumerate(tag.tolist()):
        for j, trace in enumerate(one["traces"]):
            sequence = torch.tensor([[*one["prompt"], *ids, *trace]])
            with torch.no_grad():
                logs = torch.log_softmax(model(input_ids=sequence).logits[0], -1)
            start = len(one["prompt"]) + len(ids)
            end = start + min(prefix or len(trace), len(trace))
            result[i, j] = np.mean([-logs[t - 1, sequence[0, t]].item() for t in range(start, end)])
    return result


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("prefix", [0, 1, 5])
@pytest.mark.parametrize("tags", [ONE, THREE])
def test_costs_are_the_definition(model, shared, prefix, tags):
    rows = problems(prefix)
    for found, one in zip(costs(model, rows, tags, shared_prompt=shared), rows, strict=True):
        assert found == pytest.approx(one_at_a_time(model, one, tags, prefix), abs=1e-4)


@pytest.mark.parametrize("tokens", [1, 40, 200])
@pytest.mark.parametrize("shared", [True, False])
def test_the_size_of_a_forward_pass_changes_nothing(model, tokens, shared):
    rows = problems(5)
    for parts, whole in zip(
        costs(model, rows, ONE, tokens=tokens, shared_prompt=shared), costs(model, rows, ONE), strict=True
    ):
        assert parts == pytest.approx(whole, abs=1e-4)


def test_a_problem_costs_the_same_alone_and_in_company(model):
    rows = problems(5)
    together = costs(model, rows, THREE)
    for one, expected in zip(rows, together, strict=True):
        assert costs(model, [one], THREE)[0] == pytest.approx(expected, abs=1e-4)


def test_only_the_rows_that_are_asked_for(model):
    rows = problems()
    batch = SetCollator(tag_length=1, pad_id=PADDING)(rows)
    found = matching_costs(model, batch, [3, 1], ONE, CostSettings(10_000, 64))
    assert [table.shape for table in found] == [(5, 4), (5, 2)]
    assert found[1] == pytest.approx(costs(model, rows, ONE)[1], abs=1e-4)


def test_no_gradient_and_no_dropout(model):
    noisy = LlamaForCausalLM(LlamaConfig(**SIZES, attention_dropout=0.5)).train()
    first, second = (costs(noisy, problems(), ONE)[3] for _ in range(2))
    assert (first == second).all()
    assert noisy.training
    assert all(parameter.grad is None for parameter in noisy.parameters())
    assert isinstance(first, np.ndarray)


def test_gradient_checkpointing_does_not_take_the_cache(model):
    checkpointed = LlamaForCausalLM(LlamaConfig(**SIZES))
    checkpointed.load_state_dict(model.state_dict())
    checkpointed.gradient_checkpointing_enable()
    checkpointed.train()
    assert costs(checkpointed, problems(), ONE)[3] == pytest.approx(costs(model, problems(), ONE)[3], abs=1e-5)


def test_a_sliding_window_is_costed_without_sharing():
    """Its cache forgets the beginning of the prompt: sharing would be wrong, so the naive way is taken by itself."""
    torch.manual_seed(0)
    window = MistralForCausalLM(MistralConfig(**SIZES, sliding_window=4))
    rows = problems(5)
    for found, one in zip(costs(window, rows, ONE), rows, strict=True):
        assert found == pytest.approx(one_at_a_time(window, one, ONE, 5), abs=1e-4)
