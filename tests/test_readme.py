"""The example in the README runs as it stands, on a small model in place of the one it names."""

import re
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.fixture
def small(tmp_path, trace_sets):
    """A model and tokenizer of Qwen2's kind, in a folder."""
    import sys

    sys.path.insert(0, str(Path(__file__).parent / "training"))
    from test_text_tags import byte_tokenizer

    tokenizer = byte_tokenizer([trace.text for one in trace_sets(8) for trace in one.traces])
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=2, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
        )
    )  # fmt: skip
    model.save_pretrained(tmp_path / "small")
    tokenizer.save_pretrained(tmp_path / "small")
    return tmp_path / "small"


def test_the_trainer_s_example_runs(small, trace_sets, tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(code.strip().splitlines()) <= 15
    changed = code.replace("Qwen/Qwen2.5-0.5B-Instruct", str(small)).replace(
        "num_train_epochs=5", "num_train_epochs=1, use_cpu=True"
    )
    assert changed.count(str(small)) == 1
    monkeypatch.chdir(tmp_path)
    rows = [{"problem": one.problem, "traces": [{"text": t.text} for t in one.traces]} for one in trace_sets(4)]
    Dataset.from_list(rows).to_parquet("trace_sets.parquet")
    exec(changed, {"__name__": "readme"})
    model = AutoModelForCausalLM.from_pretrained("ssft/final")
    before = AutoModelForCausalLM.from_pretrained(small)
    assert not torch.equal(model.lm_head.weight, before.lm_head.weight)
    assert Path("ssft/final/forking.json").exists()
