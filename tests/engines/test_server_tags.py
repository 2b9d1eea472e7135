"""Forking tags through a server that takes token ids, as vLLM does: what is sent, and what of the reply is kept."""

from collections import Counter

import pytest
from fault_server import FaultServer

from forkpipe.core.errors import InputError
from forkpipe.core.records import Request, Sampling
from forkpipe.engines.openai import OpenAIEngine


@pytest.fixture(scope="module")
def tokenizer(base):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base)


def requests(n=1, **more):
    return [
        Request.create(
            problem_id="p", problem="", asked_of="m", revision="", prompt="1 2", sample=i, sampling=Sampling(), **more
        )
        for i in range(n)
    ]


def as_vllm(ids):
    """A reply of these token ids; where ids are prescribed, the one that the seed picks."""

    def reply(reply, body):
        allowed = body.get("allowed_token_ids")
        chosen = [allowed[body["seed"] % len(allowed)]] if allowed else list(ids)
        finish = "length" if allowed else "stop"
        reply["choices"] = [{"index": 0, "text": "3 4", "token_ids": chosen, "finish_reason": finish}]

    return reply


def ask(server, base, asked, **options):
    options = {"endpoint": "completions", "checkpoint": str(base), "attempts": 2, "backoff": 0.01, **options}
    engine = OpenAIEngine(model="m", base_url=server.url, **options)
    return {done.request_id: done for done in engine.generate(asked)}


def test_a_forced_tag_stands_behind_the_prompt_and_is_banned_from_then_on(base, tokenizer):
    prompt, text = tokenizer("1 2")["input_ids"], tokenizer("3 4")["input_ids"]
    tags = [tokenizer.convert_tokens_to_ids(f"<think{i}>") for i in range(1, 7)]
    (request,) = requests(prefix_ids=(tags[2],))
    with FaultServer(reply=as_vllm([*text, tokenizer.eos_token_id])) as server:
        (done,) = ask(server, base, [request]).values()
        (body,) = server.requests
    assert body["prompt"] == [*prompt, tags[2]]
    assert body["logit_bias"] == {str(tag): -100.0 for tag in tags}
    assert body["return_token_ids"]
    assert set(body["stop_token_ids"]) == {tokenizer.eos_token_id, tokenizer.pad_token_id}
    assert (done.tag, done.token_ids, done.tokens_out, done.text) == (2, tuple(text), 2, "3 4")


def test_an_own_tag_is_drawn_among_the_tags_by_the_requests_seed(base, tokenizer):
    """60 draws of six tags: each comes, and the same again when asked again."""
    text = tokenizer("3 4")["input_ids"]
    tags = [tokenizer.convert_tokens_to_ids(f"<think{i}>") for i in range(1, 7)]
    asked = requests(60, own_tag=True)
    with FaultServer(reply=as_vllm(text)) as server:
        first = ask(server, base, asked)
        again = ask(server, base, asked)
        draws = [body for body in server.requests if "allowed_token_ids" in body]
    assert Counter(body["max_tokens"] for body in draws) == {1: 120}
    assert all(body["allowed_token_ids"] == sorted(tags) for body in draws)
    assert {done.tag for done in first.values()} == set(range(6))
    assert {key: done.tag for key, done in first.items()} == {key: done.tag for key, done in again.items()}


def test_of_a_text_tag_only_what_differs_is_drawn(base, tokenizer, tmp_path):
    """Tags "1 2 5" and "1 3 5": one small request, for the second token."""
    import shutil

    from forkpipe.core.forking import ForkingTags
    from forkpipe.models.checkpoint import encoder
    from forkpipe.models.identity import FORKING_FILE

    folder = tmp_path / "text"
    shutil.copytree(base, folder)
    encode = encoder(tokenizer)
    ids = tuple(tuple(encode(text)) for text in ("1 2 5", "1 3 5"))
    (folder / FORKING_FILE).write_text(
        ForkingTags("text", ("1 2 5", "1 3 5"), ids, (1,)).to_json(base_model="b", base_revision="")
    )
    (request,) = requests(own_tag=True)
    with FaultServer(reply=as_vllm(encode("7"))) as server:
        (done,) = ask(server, folder, [request]).values()
        draw, body = server.requests
    prompt = encode("1 2")
    assert draw["prompt"] == [*prompt, ids[0][0]]
    assert draw["allowed_token_ids"] == sorted({ids[0][1], ids[1][1]})
    assert body["prompt"] == [*prompt, *ids[done.tag]]
    assert body["logit_bias"] == {str(ids[0][0]): -100.0}


def test_a_server_that_does_not_ban_or_give_ids_is_found_out(base, tokenizer):
    tag = tokenizer.convert_tokens_to_ids("<think1>")
    (request,) = requests(prefix_ids=(tag,))
    with FaultServer(reply=as_vllm([tag])) as server:
        (done,) = ask(server, base, [request]).values()
    assert done.error.startswith("invalid reply: it holds a forking tag")
    with FaultServer() as server:
        (done,) = ask(server, base, [request]).values()
    assert done.error.startswith("invalid reply: no token_ids")


def test_a_routers_tags_are_drawn_here_and_forced_at_the_server(base, tokenizer, tmp_path):
    """Those that the transformers engine draws; the server is asked for the texts alone."""
    import shutil

    import torch
    from peft import get_peft_model

    from forkpipe.engines.transformers import TransformersEngine
    from forkpipe.models.checkpoint import load_checkpoint
    from forkpipe.models.router import router_adapter, save_router
    from forkpipe.parameters import LoraSettings

    folder = tmp_path / "routed"
    shutil.copytree(base, folder)
    model, _, tags = load_checkpoint(folder)
    torch.manual_seed(0)
    adapted = get_peft_model(model, router_adapter(model, tags, LoraSettings(rank=4)))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name or "trainable_tokens_delta" in name:
                weight.add_(0.2 * torch.randn_like(weight))
    save_router(adapted, folder)
    asked = requests(30, own_tag=True)
    ours = {done.request_id: done.tag for done in TransformersEngine(model=str(folder)).generate(asked)}
    with FaultServer(reply=as_vllm(tokenizer("3 4")["input_ids"])) as server:
        found = ask(server, folder, asked)
        assert {key: done.tag for key, done in found.items()} == ours
        assert {body["prompt"][-1] for body in server.requests} == {tags.token_ids[tag][0] for tag in ours.values()}
        assert len(server.requests) == 30
    assert len(set(ours.values())) > 1


def test_tags_need_a_checkpoint(base, tmp_path):
    with pytest.raises(InputError, match="needs endpoint 'completions' and checkpoint"):
        list(OpenAIEngine(model="m", base_url="http://a/v1").generate(requests(own_tag=True)))
    with pytest.raises(InputError, match=r"no forking\.json"):
        list(
            OpenAIEngine(
                model="m", base_url="http://a/v1", endpoint="completions", checkpoint=str(_without_tags(base, tmp_path))
            ).generate(requests(own_tag=True))
        )


def _without_tags(base, tmp_path):
    import shutil

    folder = tmp_path / "plain"
    shutil.copytree(base, folder)
    (folder / "forking.json").unlink()
    return folder
