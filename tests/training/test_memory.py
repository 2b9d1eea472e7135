"""Counted memory against real models: their weights, what a layer keeps, and the published sizes that fit where."""

import json
import os

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from forkpipe import preflight
from forkpipe.core.errors import InputError
from forkpipe.parameters import LoraSettings, Parameters, SupervisedSettings
from forkpipe.planned import memory_lines
from forkpipe.training import memory
from forkpipe.training.memory import GIGABYTE, Machine, Sizes, lacking, need, remedy
from test_parameters import parameters

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
        ("7B", {"problems_per_step": 1}, "lora.frozen: bfloat16"),
    ],
)
def test_the_cheapest_lever_is_named_and_fits(model, changes, lever):
    sizes, asked = qwen(model), settings(**changes)
    machine = Machine(gpu=80e9, host=1e12, disk=4e12)
    assert "of each GPU" in lacking(need(sizes, asked), asked, machine)
    assert remedy(sizes, asked, machine) == lever


def test_disk_and_host_memory_are_looked_at():
    sizes, asked = qwen("7B"), settings(spread={"processes": 8})
    assert "GB of disk, and 100 GB are there" in lacking(need(sizes, asked), asked, Machine(80e9, 1e12, 1e11))
    assert "of host memory" in lacking(need(sizes, asked), asked, Machine(80e9, 4e10, 1e12))
    assert lacking(need(sizes, asked), asked, Machine(80e9, 1e12, 1e12)) is None
    assert lacking(need(sizes, asked), asked, Machine(None, 1e9, 1e9)) is None


@pytest.fixture
def two_cards(tmp_path, monkeypatch):
    """nvidia-smi of a machine with two cards of 80 GB."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/nvidia-smi"
    program.write_text("#!/bin/sh\necho 81559\necho 81559\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def asked_for(tmp_path, **supervised):
    """Parameters of a training of 7B, of which there is a configuration only."""
    hidden, layers, inner, heads, keys, vocabulary, tied = QWEN["7B"]
    (tmp_path / "config.json").write_text(json.dumps({
        "model_type": "qwen2", "hidden_size": hidden, "num_hidden_layers": layers, "intermediate_size": inner,
        "num_attention_heads": heads, "num_key_value_heads": keys, "vocab_size": vocabulary,
        "tie_word_embeddings": tied,
    }))  # fmt: skip
    given = parameters("base")
    given["model"]["source"] = str(tmp_path)
    given["supervised"] |= {"bf16": True, "gradient_checkpointing": True, "pass_tokens": 2048, "max_length": 2048}
    given["supervised"] |= supervised
    return Parameters.model_validate(given)


def test_a_plan_says_what_a_training_takes_and_refuses_what_does_not_fit(tmp_path, two_cards, monkeypatch):
    machine = Machine(min(memory.gpus()), 1e12, 1e12, len(memory.gpus()))
    monkeypatch.setattr(memory.Machine, "here", classmethod(lambda cls, folder: machine))
    fits = asked_for(tmp_path, lora={"frozen": "bfloat16"})
    (line,) = memory_lines(fits, ["ssft.train", "sft.train", "ssft.generate"])
    assert line.startswith("memory of sft, ssft: 1 process; ")
    assert "of 85.5 GB a GPU" in line
    preflight._check_memory(fits, ["ssft.train"])
    with pytest.raises(InputError) as refused:
        preflight._check_memory(asked_for(tmp_path), ["ssft.train"])
    assert "training ssft takes 163 GB of each GPU, and 85.5 GB are there" in str(refused.value)
    assert str(refused.value).endswith(": expected supervised.matching_tokens: 2048 and spread.processes: 2")
    with pytest.raises(InputError, match=r"spread\.processes is 4, expected at most the 2 GPUs here"):
        preflight._check_memory(asked_for(tmp_path, spread={"processes": 4}), ["ssft.train"])
    preflight._check_memory(asked_for(tmp_path), ["ssft.generate"])


def test_without_a_gpu_a_plan_refuses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "gpus", list)
    big = asked_for(tmp_path, spread={"processes": 8})
    preflight._check_memory(big, ["ssft.train"])
    (line,) = memory_lines(big, ["ssft.train"])
    assert line.startswith("memory of ssft: 8 processes; ")
