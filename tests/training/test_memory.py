"""Counted memory against real models: their weights, what a layer keeps, and the published sizes that fit where."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from forkpipe.parameters import LoraSettings, SupervisedSettings
from forkpipe.training.memory import GIGABYTE, Machine, Sizes, lacking, need, remedy

SMALL = {
    "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 160, "vocab_size": 500,
}  # fmt: skip
QWEN = {
    "0.5B": (896, 24, 4864, 14, 2, 151936, True),
    "7B": (3584, 28, 18944, 28, 4, 152064, False),
    "32B": (5120, 64, 27648, 40, 8, 152064, False),
}
"""Qwen2.5: width, layers, inner width, heads, heads of keys, vocabulary, tied."""


def qwen(name):
    hidden, layers, inner, heads, keys, vocabulary, tied = QWEN[name]
    return Sizes.of({
        "model_type": "qwen2", "hidden_size": hidden, "num_hidden_layers": layers, "intermediate_size": inner,
        "num_attention_heads": heads, "num_key_value_heads": keys, "vocab_size": vocabulary,
        "tie_word_embeddings": tied,
    })  # fmt: skip


def settings(**changes):
    usual = {"bf16": True, "gradient_checkpointing": True, "pass_tokens": 32768, "matching_tokens": 32768}
    return SupervisedSettings(**{**usual, "max_length": 32768, **changes})


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "qwen3", "gemma2"])
def test_weights_are_those_of_the_model(kind, tied):
    more = {"head_dim": 16} if kind in ("qwen3", "gemma2") else {}
    config = AutoConfig.for_model(kind, **SMALL, tie_word_embeddings=tied, **more)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    sizes = Sizes.of(config.to_dict())
    assert sizes.weights == sum(weight.numel() for weight in model.parameters())
    assert sizes.layer == sum(weight.numel() for weight in model.model.layers[0].parameters())


def test_an_adapter_has_the_weights_that_peft_makes():
    from peft import get_peft_model

    from forkpipe.models.adapters import lora_config

    config = AutoConfig.for_model("llama", **SMALL)
    with torch.device("meta"):
        model = get_peft_model(AutoModelForCausalLM.from_config(config), lora_config(LoraSettings(rank=4)))
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert Sizes.of(config.to_dict()).adapter(LoraSettings(rank=4)) == trained


def test_mixtures_of_experts_and_unknown_kinds_are_not_counted():
    assert Sizes.of(AutoConfig.for_model("mixtral").to_dict()) is None
    assert Sizes.of({"model_type": "mamba", "hidden_size": 64}) is None


def test_a_layer_keeps_what_is_counted():
    """Tensors that autograd saves in one layer of Qwen2 in bfloat16, each counted once."""
    config = AutoConfig.for_model(
        "qwen2", hidden_size=256, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=1,
        intermediate_size=1024, vocab_size=100,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    weights = {weight.data_ptr() for weight in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    tokens = 512
    states = torch.randn(1, tokens, 256, dtype=torch.bfloat16, requires_grad=True)
    position = model.model.rotary_emb(states, torch.arange(tokens)[None])
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model.model.layers[0](states, position_embeddings=position, attention_mask=None)
    assert output[0].requires_grad
    assert sum(kept.values()) / tokens == pytest.approx(Sizes.of(config.to_dict()).kept(), rel=0.1)


@pytest.mark.parametrize(
    ("model", "changes", "gigabytes"),
    [
        ("0.5B", {}, 19),
        ("7B", {"spread": {"processes": 8}}, 46),
        ("7B", {"lora": {"frozen": "bfloat16"}}, 40),
        ("32B", {"spread": {"processes": 8}}, 125),
        ("32B", {"spread": {"processes": 8, "offload": ["states"]}}, 56),
        ("32B", {"spread": {"processes": 16, "offload": ["activations"]}}, 68),
    ],
)
def test_sizes_of_the_paper(model, changes, gigabytes):
    """Counted by hand from the rules of the module, for one trace of 32,768 tokens in a pass."""
    assert need(qwen(model), settings(**changes)).gpu / GIGABYTE == pytest.approx(gigabytes, abs=1)


@pytest.mark.parametrize(
    ("model", "changes", "lever"),
    [
        ("7B", {"gradient_checkpointing": False, "spread": {"processes": 8}}, "gradient_checkpointing: true"),
        ("7B", {"lora": {"frozen": "bfloat16"}, "pass_tokens": 131072}, "pass_tokens: 32768"),
        ("7B", {"lora": {}, "pass_tokens": 131072}, "pass_tokens: 32768 and lora.frozen: bfloat16"),
        ("32B", {"spread": {"processes": 16}}, "spread.offload: ['activations']"),
        ("32B", {"spread": {"processes": 8}}, "spread.offload: ['states']"),
        ("7B", {}, "spread.processes: 4"),
        ("32B", {"problems_per_step": 1}, "lora.frozen: bfloat16"),
    ],
)
def test_the_cheapest_lever_is_named_and_fits(model, changes, lever):
    sizes, asked = qwen(model), settings(**changes)
    machine = Machine(gpu=80e9, host=1e12, disk=4e12)
    if "problems_per_step" in changes:
        machine = Machine(gpu=141e9, host=1e12, disk=4e12)
    assert "of each GPU" in lacking(need(sizes, asked), asked, machine)
    assert remedy(sizes, asked, machine) == lever


def test_disk_and_host_memory_are_looked_at():
    sizes, asked = qwen("7B"), settings(spread={"processes": 8})
    assert "GB of disk, and 100 GB are there" in lacking(need(sizes, asked), asked, Machine(80e9, 1e12, 1e11))
    assert "of host memory" in lacking(need(sizes, asked), asked, Machine(80e9, 4e10, 1e12))
    assert lacking(need(sizes, asked), asked, Machine(80e9, 1e12, 1e12)) is None
    assert lacking(need(sizes, asked), asked, Machine(None, 1e9, 1e9)) is None
