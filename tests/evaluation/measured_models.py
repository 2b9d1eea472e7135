"""Small models, benchmarks of our own and answers of servers, for tests of `forkpipe evaluate`."""

import hashlib
import json

import yaml

from byte_tokenizer import byte_tokenizer

QWEN_TEMPLATE = (
    "{%- if messages[0]['role'] != 'system' %}{{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. "
    "You are a helpful assistant.<|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
"""Writes what the template of Qwen2.5-Instruct writes for a chat without tools."""

BEFORE = "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
GOLDEN = (
    BEFORE + "<|im_start|>user\n"
    "Solve the following math problem efficiently and clearly.  The last line of your response should be of the "
    "following format: 'Therefore, the final answer is: $\\boxed{ANSWER}$. I hope it is correct' (without quotes) "
    "where ANSWER is just the final number or expression that solves the problem. Think step by step before "
    "answering.\n\n"
    "What is 3 + 4?<|im_end|>\n<|im_start|>assistant\n"
)
"""What a model is asked about the problem "What is 3 + 4?", character by character."""


def plain_model(folder, template=QWEN_TEMPLATE):
    """Write a tiny Qwen2 model with a chat template and no forking.json; return its folder."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = byte_tokenizer(["Solve the following math problem. What is 1 + 2?", "<think1>"])
    tokenizer.chat_template = template
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=2, tie_word_embeddings=True, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
        )
    )  # fmt: skip
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def hashes(folder):
    """Return the SHA-256 of every file of a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def sums(n):
    return [
        {"id": f"s{i}", "problem": f"What is {i} + {i + 1}?", "answer": str(2 * i + 1), "level": 1 + i % 2}
        for i in range(n)
    ]


def choices(n):
    return [
        {
            "id": f"c{i}",
            "problem": f"Which is it in case {i}?",
            "answer": f"right {i}",
            **{f"w{j}": f"wrong {i} {j}" for j in (1, 2, 3)},
        }
        for i in range(n)
    ]


def definitions(folder, n_sums=4, n_choices=None):
    """Write benchmarks "sums" (integers), "fractions" (math), perhaps "letters" (choice), and what defines them."""
    defined = {
        "sums": {"answer_type": "integer", "rows": n_sums, "subsets": ["level"]},
        "fractions": {"answer_type": "math", "rows": 2},
    }
    rows = {
        "sums": sums(n_sums),
        "fractions": [
            {"id": "f1", "problem": "Half of 1?", "answer": "\\frac{1}{2}"},
            {"id": "f2", "problem": "A third of 2?", "answer": "2/3"},
        ],
    }
    fields = {}
    if n_choices:
        defined["letters"] = {"answer_type": "choice", "rows": n_choices}
        rows["letters"] = choices(n_choices)
        fields["letters"] = {"id": "id", "problem": "problem", "answer": "answer", "distractors": ["w1", "w2", "w3"]}
    for name, held in rows.items():
        path = write_rows(folder / f"{name}.jsonl", held)
        defined[name]["sources"] = [{"file": str(path), "fields": fields.get(name, {})}]
    (folder / "benchmarks.yml").write_text(yaml.safe_dump(defined))
    return folder / "benchmarks.yml"


def boxed(answer):
    """Return what makes a server's reply: `answer(body)` in a box, with token ids as vLLM gives them."""

    def change(reply, body):
        ids = [int(digit) + 40 for digit in str(body["seed"])[:5]]
        choice = {"index": 0, "text": f"So it is $\\boxed{{{answer(body)}}}$.", "finish_reason": "stop"}
        reply["choices"] = [choice | {"token_ids": ids}]
        reply["usage"] = {"prompt_tokens": len(body["prompt"]), "completion_tokens": len(ids)}

    return change
