"""Tiny models of the families that people train, with tokenizers and chat templates shaped like theirs.

Sizes are of the smallest; what differs between families is kept: which special tokens there are, which of them end a
text, how a prompt begins and ends, whether embeddings are tied, windows, experts, and how logits are made.
"""

import string
from dataclasses import dataclass, field
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GptOssConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from byte_tokenizer import CHATML, PIECES

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
}

LLAMA_TEMPLATE = (
    "{{ bos_token }}{% if messages[0]['role'] != 'system' %}<|start_header_id|>system<|end_header_id|>\n\n"
    "Knowledge ends in 2023.<|eot_id|>{% endif %}{% for message in messages %}<|start_header_id|>{{ message['role'] }}"
    "<|end_header_id|>\n\n{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA_TEMPLATE = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('There is no system role') }}{% endif %}"
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}<start_of_turn>"
    "{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n{{ message['content'] | trim }}"
    "<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL_TEMPLATE = (
    "{{ bos_token }}{% set system = messages[0]['content'] + '\n\n' if messages[0]['role'] == 'system' else '' %}"
    "{% for message in messages %}{% if message['role'] == 'user' %}[INST]{{ system if loop.last else '' }}"
    "{{ message['content'] }}[/INST]{% elif message['role'] == 'assistant' %}{{ message['content'] }}{{ eos_token }}"
    "{% endif %}{% endfor %}"
)
HARMONY_TEMPLATE = (
    "<|start|>system<|message|>Reasoning: medium<|end|>{% for message in messages %}<|start|>{{ message['role'] }}"
    "{% if message['role'] == 'assistant' %}<|channel|>final{% endif %}<|message|>{{ message['content'] }}"
    "{{ '<|return|>' if message['role'] == 'assistant' and loop.last else '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
QWEN_TEMPLATE = CHATML.replace(
    "assistant\n{% endif %}",
    "assistant\n{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}",
)


@dataclass(frozen=True)
class Family:
    """What one family has.

    Attributes:
        config: class of its configuration, and `sizes` where they differ from `SIZES`.
        special: special tokens, in the order of their ids; `ordinary`, added tokens that are not special.
        ends: tokens that end a text, by generation_config.json; the first is the tokenizer's.
        opening: how a prompt begins and `closing` how it ends.
        text_tags: whether the vocabulary has the token that begins a text tag.
    """

    config: Any
    template: str
    special: tuple[str, ...]
    ends: tuple[str, ...]
    opening: str
    closing: str
    bos: str | None = None
    pad: str | None = None
    ordinary: tuple[str, ...] = ()
    tied: bool = False
    text_tags: bool = False
    spaces_are_marked: bool = False
    sizes: dict[str, Any] = field(default_factory=dict)


FAMILIES = {
    "qwen3": Family(
        Qwen3Config, QWEN_TEMPLATE, ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), ("<|im_end|>", "<|endoftext|>"),
        "<|im_start|>user\n", "<|im_start|>assistant\n", pad="<|endoftext|>", ordinary=("<think>", "</think>"),
        tied=True, text_tags=True,
    ),
    "llama3": Family(
        LlamaConfig, LLAMA_TEMPLATE,
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>",
         "<|eot_id|>"),
        ("<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"), "<|begin_of_text|><|start_header_id|>system",
        "<|start_header_id|>assistant<|end_header_id|>\n\n", bos="<|begin_of_text|>",
    ),
    "gemma2": Family(
        Gemma2Config, GEMMA_TEMPLATE, ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"),
        ("<eos>", "<end_of_turn>"), "<bos><start_of_turn>user\n", "<start_of_turn>model\n", bos="<bos>", pad="<pad>",
        tied=True, spaces_are_marked=True, sizes={"sliding_window": 8, "query_pre_attn_scalar": 8},
    ),
    "gemma3": Family(
        Gemma3TextConfig, GEMMA_TEMPLATE, ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"),
        ("<eos>", "<end_of_turn>"), "<bos><start_of_turn>user\n", "<start_of_turn>model\n", bos="<bos>", pad="<pad>",
        tied=True, spaces_are_marked=True, sizes={"sliding_window": 8, "query_pre_attn_scalar": 8},
    ),
    "mistral": Family(
        MistralConfig, MISTRAL_TEMPLATE, ("<unk>", "<s>", "</s>", "[INST]", "[/INST]"), ("</s>",), "<s>[INST]",
        "[/INST]", bos="<s>", spaces_are_marked=True, sizes={"sliding_window": 8},
    ),
    "gpt_oss": Family(
        GptOssConfig, HARMONY_TEMPLATE,
        ("<|startoftext|>", "<|endoftext|>", "<|return|>", "<|start|>", "<|channel|>", "<|message|>", "<|end|>",
         "<|call|>"),
        ("<|return|>", "<|endoftext|>", "<|call|>"), "<|start|>system<|message|>", "<|start|>assistant",
        bos="<|startoftext|>", pad="<|endoftext|>", sizes={
            "sliding_window": 8, "num_local_experts": 4, "num_experts_per_tok": 2,
            # One of full attention and one with a window, as theirs alternate.
            "layer_types": ["sliding_attention", "full_attention"],
        },
    ),
}  # fmt: skip


def tokenizer_of(family: Family, texts: list[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer: bytes and merges, or pieces whose spaces are marked as SentencePiece marks them."""
    raw = Tokenizer(models.BPE())
    if family.spaces_are_marked:
        raw.normalizer = normalizers.Replace(" ", "▁")
        raw.pre_tokenizer = pre_tokenizers.Split(Regex(r"\d|\n|▁*[^▁\d\n]+|▁+"), "isolated")
        raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
        alphabet = ["▁", *sorted({*string.printable} - {" "})]
    else:
        raw.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ])  # fmt: skip
        raw.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    specials = [AddedToken(text, special=True, normalized=False) for text in family.special]
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token=family.bos, eos_token=family.ends[0], pad_token=family.pad, padding_side="left"
    )
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in family.ordinary])
    tokenizer.chat_template = family.template
    return tokenizer


def model_of(family: Family, tokenizer: Any, spare_rows: int = 0, seed: int = 0) -> Any:
    """Return a model with random weights, whose matrices have `spare_rows` more than the tokenizer has tokens."""
    torch.manual_seed(seed)
    ends = tokenizer.convert_tokens_to_ids(list(family.ends))
    config = family.config(
        vocab_size=len(tokenizer) + spare_rows, tie_word_embeddings=family.tied, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=ends if len(ends) > 1 else ends[0],
        **{**SIZES, **family.sizes},
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    model.generation_config.eos_token_id = ends
    return model
