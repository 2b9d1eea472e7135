"""What the benchmarks of engines share: a model with random weights, requests of unequal length."""

from pathlib import Path

import torch

from forkpipe.core.records import Request, Sampling

SIZES = {
    "tiny": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128},
    "small": {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024},
    # of the size of Qwen2.5-0.5B
    "half_billion": {"hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14, "intermediate_size": 4864},
}
VOCABULARY = {"tiny": 512, "small": 2048, "half_billion": 151936}


def make_model(folder: Path, size: str) -> None:
    """Write a Llama with random weights and a tokenizer of words; it ends no text by itself."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = VOCABULARY[size]
    raw = Tokenizer(models.WordLevel({f"w{i}": i for i in range(words)}, unk_token="w0"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="w1", eos_token="w2", unk_token="w0")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=words, num_key_value_heads=2, max_position_embeddings=4096, tie_word_embeddings=True,
        pad_token_id=1, eos_token_id=2, bos_token_id=None, **SIZES[size],
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.get_input_embeddings().weight[:3] = 0  # logits 0: seldom drawn, never the likeliest
    folder.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16 if torch.cuda.is_available() else torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_requests(n: int, tokens: int, *, unequal: bool, temperature: float, prompt: int = 32) -> list[Request]:
    """Return n requests of one problem each; `unequal`: limits from tokens/16 to tokens, most short."""
    generator = torch.Generator().manual_seed(0)
    shares = torch.rand(n, generator=generator) ** 2
    limits = [max(1, tokens // 16, int(tokens * share)) if unequal else tokens for share in shares.tolist()]
    words = torch.randint(3, 512, (n, prompt), generator=generator).tolist()
    return [
        Request.create(
            problem_id=str(i),
            problem=str(i),
            asked_of="benchmark",
            revision="",
            prompt=" ".join(f"w{word}" for word in words[i]),
            sample=0,
            sampling=Sampling(temperature, 0.95, limit),
        )
        for i, limit in enumerate(limits)
    ]
