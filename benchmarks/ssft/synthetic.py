"""Models and trace sets of any shape, with random weights and tokens: what they say changes neither time nor memory."""

import tempfile
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from forkpipe import SSFTConfig, SSFTTrainer, add_tags


def make_model(
    vocabulary: int, hidden: int, layers: int, ffn: int, heads: int, kv_heads: int, dtype: Any = None
) -> Any:
    """Return a Qwen2 with random weights and an untied output matrix."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=vocabulary, hidden_size=hidden, num_hidden_layers=layers, intermediate_size=ffn,
        num_attention_heads=heads, num_key_value_heads=kv_heads, max_position_embeddings=65536,
        tie_word_embeddings=False, pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    return Qwen2ForCausalLM(config).to(dtype or torch.float32)


def make_tokenizer(vocabulary: int) -> Any:
    """Return a tokenizer of words w0, w1, ... that leaves room for tags."""
    words = ["<pad>", "<end>", *(f"w{i}" for i in range(vocabulary - 20))]
    raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="<end>")
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    return tokenizer


def make_sets(problems: int, traces: int, prompt: int, length: int, words: int) -> Dataset:
    """Return trace sets of random words: every prompt and every trace of one length, end token included."""
    generator = torch.Generator().manual_seed(0)

    def text(n: int) -> str:
        return " ".join(f"w{i}" for i in torch.randint(0, words, (n,), generator=generator).tolist())

    rows = [{"problem": text(prompt), "traces": [text(length - 1) for _ in range(traces)]} for _ in range(problems)]
    return Dataset.from_list(rows)


def make_trainer(model: Any, tokenizer: Any, sets: Dataset, n_tags: int, **changes: Any) -> SSFTTrainer:
    """Return a trainer with an optimizer, one problem a batch."""
    tags = add_tags(model, tokenizer, n_tags, "special")
    settings = {
        "output_dir": tempfile.mkdtemp(), "per_device_train_batch_size": 1, "save_strategy": "no", "report_to": [],
        "disable_tqdm": True, "use_cpu": not torch.cuda.is_available(), "max_length": 65536,
    }  # fmt: skip
    trainer = SSFTTrainer(
        model, SSFTConfig(**{**settings, **changes}), processing_class=tokenizer, tags=tags, train_dataset=sets
    )
    trainer.create_optimizer()
    return trainer
