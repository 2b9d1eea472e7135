"""A small model that has learned to read and to answer, in seconds: what initial rows of tags are tried on."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from byte_tokenizer import byte_tokenizer
from forkpipe.models.checkpoint import encoder, render_prompt

WORDS = ["first", "second", "third", "next", "then", "so", "thus", "hence", "now", "think"]


def question(i):
    return f"What is {i % 9 + 1} + {i // 9 + 1}?"


def answers(i):
    """Four ways to write the answer to question i, as four teachers would."""
    a, b = i % 9 + 1, i // 9 + 1
    return [
        f"{a} + {b} = {a + b}",
        f"I think that the sum of {a} and {b} is {a + b}.",
        f"1. Take {a}.\n2. Add {b}.\n3. The answer is {a + b}.",
        f"First {a}, then {b} more, so we have {a + b}.",
    ]


def pretrained_like(tied, spare_rows=0, steps=150):
    """Return a model that was trained on questions with answers, and its tokenizer; neither knows a tag."""
    torch.manual_seed(0)
    texts = [text for i in range(60) for text in (question(i), *answers(i))]
    tokenizer = byte_tokenizer([*texts, *(f"{word} {i}" for i, word in enumerate(WORDS * 20))])
    config = LlamaConfig(
        vocab_size=len(tokenizer) + spare_rows, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, tie_word_embeddings=tied, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    encode = encoder(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    draw = torch.Generator().manual_seed(0)
    for step in range(steps):
        rows = [
            [*encode(render_prompt(tokenizer, question(i)) + answers(i)[j]), tokenizer.eos_token_id]
            for i, j in zip(
                torch.randint(60, (16,), generator=draw).tolist(), torch.randint(4, (16,), generator=draw).tolist(),
                strict=True,
            )
        ]  # fmt: skip
        width = max(map(len, rows))
        ids = torch.tensor([[*row, *[tokenizer.pad_token_id] * (width - len(row))] for row in rows])
        for group in optimizer.param_groups:
            group["lr"] = 4e-3 * (1 - step / steps)
        labels = torch.where(ids == tokenizer.pad_token_id, -100, ids)
        model(input_ids=ids, attention_mask=(labels != -100).long(), labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval(), tokenizer


def sets_of_four(n=12):
    return [
        {
            "problem_id": str(i),
            "problem": question(i),
            "traces": [{"text": t, "teacher": str(j)} for j, t in enumerate(answers(i))],
        }
        for i in range(n)
    ]
