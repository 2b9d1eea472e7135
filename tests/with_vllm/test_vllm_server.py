"""vLLM's own server: what a plain client gets of it, and what the engine `openai` makes of that."""

import pytest
from test_vllm_engine import PROBLEMS, asked_for, by_id, loaded, plain_greedy

from forkpipe.engines.openai import OpenAIEngine
from forkpipe.engines.transformers import TransformersEngine
from forkpipe.models.checkpoint import render_prompt

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


def test_the_engine_for_servers_writes_what_transformers_does(server, special):
    """Greedy, under forced tags and the model's own: tags, token ids, texts and reasons."""
    tokenizer, tags = loaded(special)
    prompts = [render_prompt(tokenizer, problem) for problem in PROBLEMS]
    asked = [asked_for(prompt, prefix_ids=ids) for prompt in prompts for ids in tags.token_ids]
    asked += [asked_for(prompt, own_tag=True) for prompt in prompts]
    engine = OpenAIEngine(
        model=str(special), base_url=server, endpoint="completions", checkpoint=str(special), concurrency=8
    )
    found = by_id(engine, asked)
    ours = by_id(TransformersEngine(model=str(special)), asked)
    for one in asked:
        served, wanted = found[one.request_id], ours[one.request_id]
        assert served.error == ""
        assert (served.tag, served.token_ids, served.finish_reason) == (
            wanted.tag,
            wanted.token_ids,
            wanted.finish_reason,
        )
        assert served.text.split() == wanted.text.split()


@pytest.mark.parametrize("stream", [False, True])
def test_the_engine_for_servers_chats_by_seed_and_names_what_is_refused(server, special, stream):
    engine = OpenAIEngine(model=str(special), base_url=server, concurrency=4, stream=stream)
    asked = [asked_for("3 ^ 5 mod 17", i, 1.0) for i in range(8)]
    too_long = asked_for(" ".join(["7"] * 200))
    first, second = by_id(engine, [*asked, too_long]), by_id(engine, asked)
    assert [first[one.request_id].text for one in asked] == [second[one.request_id].text for one in asked]
    assert len({first[one.request_id].text for one in asked}) > 1
    assert all(first[one.request_id].tokens_in > 0 and first[one.request_id].tokens_out > 0 for one in asked)
    assert first[too_long.request_id].finish_reason == "error"
    assert first[too_long.request_id].error.startswith("refused")
