"""vLLM's own server, asked by a plain client: what an engine for servers can rely on."""

import pytest
from test_vllm_engine import loaded, plain_greedy

from forkpipe.training.checkpoint import render_prompt

pytest_plugins = ["vllm_checkpoints"]


@pytest.fixture(scope="module")
def client(server):
    openai = pytest.importorskip("openai")
    return openai.OpenAI(base_url=server, api_key="none", timeout=60, max_retries=0)


def test_a_prompt_of_token_ids_with_a_forced_tag(client, special):
    """Greedy tokens are those of plain transformers, with the tags banned by bad_words."""
    tokenizer, tags = loaded(special)
    model = client.models.list().data[0].id
    prompt = tokenizer(render_prompt(tokenizer, "3 ^ 5 mod 17"), add_special_tokens=False)["input_ids"]
    for ids in tags.token_ids:
        answer = client.completions.create(
            model=model,
            prompt=[*prompt, *ids],
            temperature=0.0,
            max_tokens=10,
            extra_body={"return_token_ids": True, "bad_words": list(tags.tags)},
        )
        (choice,) = answer.choices
        plain = plain_greedy(special, [*prompt, *ids], [one[0] for one in tags.token_ids], 10)
        assert choice.token_ids == plain
        assert answer.usage.completion_tokens == len(plain)


def test_a_chat_with_a_seed_is_repeatable(client):
    model = client.models.list().data[0].id

    def ask(seed):
        answer = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "3 ^ 5 mod 17"}],
            temperature=1.0,
            max_tokens=12,
            seed=seed,
        )
        return answer.choices[0].message.content

    assert ask(1) == ask(1)
    assert ask(1) != ask(2)
