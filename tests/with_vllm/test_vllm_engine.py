"""The vLLM engine against plain transformers, on real vLLM."""

import json
import shutil
from collections import Counter
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from forkpipe.core.errors import InputError
from forkpipe.core.records import Request, Sampling
from forkpipe.engines.transformers import TransformersEngine
from forkpipe.engines.vllm import VLLMEngine
from forkpipe.engines.vllm_model import Reader
from forkpipe.models.checkpoint import load_tags, render_prompt

pytest_plugins = ["vllm_checkpoints"]

PROBLEMS = ["3 ^ 5 mod 17", "7 ^ 11 mod 17", "2 ^ 40 mod 17 2 ^ 40 mod 17"]


@pytest.fixture(scope="module")
def engine_of():
    """A function that gives the engine of a folder; one vLLM is held at a time."""
    held = {}

    def get(folder, **more):
        key = (str(folder), json.dumps(more))
        if key not in held:
            for one in held.values():
                one.close()
            held.clear()
            held[key] = VLLMEngine(model=str(folder), dtype="float32", enforce_eager=True, **more)
        return held[key]

    yield get
    for one in held.values():
        one.close()


def loaded(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return tokenizer, load_tags(folder, tokenizer)


def asked_for(prompt, sample=0, temperature=0.0, top_p=1.0, max_tokens=12, **more):
    return Request.create(
        problem_id=prompt,
        problem=prompt,
        asked_of="m",
        revision="",
        prompt=prompt,
        sample=sample,
        sampling=Sampling(temperature, top_p, max_tokens),
        **more,
    )


def by_id(engine, requests):
    found = {one.request_id: one for one in engine.generate(requests)}
    assert set(found) == {one.request_id for one in requests}
    return found


@pytest.fixture(params=["special", "text"])
def checkpoint(request):
    return request.getfixturevalue(request.param)


def plain_greedy(folder, prompt_ids, banned, limit):
    """Return what transformers' own generate writes, alone and without padding."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = torch.tensor([prompt_ids])
    more = {"suppress_tokens": banned} if banned else {}
    output = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=limit, do_sample=False, **more)
    return output[0, ids.shape[1] :].tolist()


def test_greedy_tokens_are_those_of_transformers(checkpoint, engine_of):
    """Under every forced tag and under the model's own. Without the ban there would be tags in them."""
    tokenizer, tags = loaded(checkpoint)
    prompts = [render_prompt(tokenizer, problem) for problem in PROBLEMS]
    forced = [asked_for(prompt, prefix_ids=ids) for prompt in prompts for ids in tags.token_ids]
    own = [asked_for(prompt, own_tag=True) for prompt in prompts]
    found = by_id(engine_of(checkpoint), [*forced, *own])
    ours = by_id(TransformersEngine(model=str(checkpoint)), [*forced, *own])
    banned = [ids[0] for ids in tags.token_ids]
    unbanned: list[int] = []
    for one in [*forced, *own]:
        drawn = found[one.request_id]
        assert drawn.error == ""
        assert drawn.tag is not None
        assert drawn.tag == ours[one.request_id].tag
        assert drawn.token_ids == ours[one.request_id].token_ids
        assert drawn.text == ours[one.request_id].text
        assert drawn.finish_reason == ours[one.request_id].finish_reason
        assert not set(banned) & set(drawn.token_ids)
        ids = [*tokenizer(one.prompt, add_special_tokens=False)["input_ids"], *tags.token_ids[drawn.tag]]
        plain = plain_greedy(checkpoint, ids, banned, 12)
        assert list(drawn.token_ids) == plain[: drawn.tokens_out]
        unbanned += plain_greedy(checkpoint, ids, [], 12)
    assert set(unbanned) & set(banned)
    # the tag that the model gives most to
    assert all(found[one.request_id].tag == best_tag(checkpoint, one.prompt, tags) for one in own)


def tag_probs(folder, prompt, tags):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    (place,) = tags.deciding_positions
    ids = [*tokenizer(prompt, add_special_tokens=False)["input_ids"], *tags.token_ids[0][:place]]
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0, -1]
    return torch.softmax(logits[[one[place] for one in tags.token_ids]], dim=0)


def best_tag(folder, prompt, tags):
    return int(tag_probs(folder, prompt, tags).argmax())


def test_own_tags_follow_the_policy(checkpoint, engine_of):
    """600 draws from p over six tags: a share has a standard deviation of at most .0205; 4 of them are allowed."""
    tokenizer, tags = loaded(checkpoint)
    prompt = render_prompt(tokenizer, PROBLEMS[0])
    asked = [asked_for(prompt, i, 1.0, max_tokens=1, own_tag=True) for i in range(600)]
    counts = Counter(one.tag for one in engine_of(checkpoint).generate(asked))
    for tag, p in enumerate(tag_probs(checkpoint, prompt, tags).tolist()):
        assert counts[tag] / 600 == pytest.approx(p, abs=4 * (p * (1 - p) / 600) ** 0.5)


def test_a_completion_follows_from_its_request_alone(special, engine_of):
    """Twelve samples of one prompt differ from one another, and each is the same alone as among the others."""
    engine = engine_of(special)
    asked = [asked_for("3 ^ 5 mod 17", i, 1.0, 0.95) for i in range(12)]
    together = by_id(engine, asked)
    assert len({one.token_ids for one in together.values()}) == 12
    for one in asked:
        (alone,) = engine.generate([one])
        assert alone.token_ids == together[one.request_id].token_ids


def test_completions_come_as_they_finish_and_new_requests_go_in_meanwhile(special, engine_of):
    """Two run and four are handed in at a time: the long first one outlives twenty short ones (at most 63 steps)."""
    engine = engine_of(special, max_num_seqs=2)
    many = [asked_for("3 ^ 5 mod 17", i, 1.0, max_tokens=100) for i in range(40)]
    lengths = {one.request_id: one.tokens_out for one in engine.generate(many)}
    long = max(many, key=lambda one: lengths[one.request_id])
    assert lengths[long.request_id] > 70
    short = [asked_for("3 ^ 5 mod 17", 100 + i, 1.0, max_tokens=3) for i in range(20)]
    order = [one.request_id for one in engine.generate([long, *short])]
    assert len(order) == 21
    assert order.index(long.request_id) == 20
    # given up half-way, what runs is aborted, and the engine goes on
    half = engine.generate([long, *short])
    next(half)
    half.close()
    assert len(list(engine.generate(short))) == 20


def test_a_prompt_that_is_too_long_is_an_error_of_its_own(special, engine_of):
    fits = asked_for("3 ^ 5 mod 17")
    long = asked_for(" ".join(["7"] * 128))
    hot = asked_for("3 ^ 5 mod 17", temperature=3.0)
    nearly = asked_for(" ".join(["7"] * 126))
    found = by_id(engine_of(special), [long, fits, hot, nearly])
    assert found[long.request_id].finish_reason == "error"
    assert found[long.request_id].error == "refused: 128 tokens leave no room in a context of 128"
    assert found[hot.request_id].finish_reason == "error"
    assert found[hot.request_id].error.startswith("refused: temperature must be in [0, 2]")
    assert found[fits.request_id].error == ""
    assert (found[nearly.request_id].finish_reason, found[nearly.request_id].tokens_out) == ("length", 2)


def test_settings_of_the_model_change_nothing_but_where_texts_end(special, engine_of, tmp_path):
    """A penalty in generation_config.json would be an unrecorded sampling setting; its end tokens end texts."""
    other = tmp_path / "other"
    shutil.copytree(special, other)
    path = other / "generation_config.json"
    settings = json.loads(path.read_text())
    asked = [asked_for("3 ^ 5 mod 17", i, 1.0) for i in range(8)]
    drawn = by_id(engine_of(special), asked)
    longest = max((one for one in drawn.values()), key=lambda one: one.tokens_out)
    end = longest.token_ids[3]
    path.write_text(json.dumps({
        **settings, "repetition_penalty": 50.0, "temperature": 0.01, "top_k": 1, "do_sample": True,
        "eos_token_id": [settings["eos_token_id"], end],
    }))  # fmt: skip
    found = by_id(engine_of(other), asked)
    for one in asked:
        whole = drawn[one.request_id].token_ids
        cut = whole[: whole.index(end)] if end in whole else whole
        assert found[one.request_id].token_ids == cut
    assert found[longest.request_id].finish_reason == "stop"


def test_an_own_tag_needs_a_checkpoint_with_tags(special, engine_of, tmp_path):
    plain = tmp_path / "plain"
    shutil.copytree(special, plain)
    (plain / "forking.json").unlink()
    with pytest.raises(InputError, match=r"no forking\.json"):
        list(engine_of(plain).generate([asked_for("1", own_tag=True)]))


def with_router(checkpoint, folder):
    """Return a copy of a checkpoint with an adapter that changes the choice of tags, by rows of their own too."""
    from peft import get_peft_model

    from forkpipe.models.router import router_adapter, save_router
    from forkpipe.parameters import LoraSettings

    shutil.copytree(checkpoint, folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    torch.manual_seed(1)
    adapted = get_peft_model(model, router_adapter(model, loaded(folder)[1], LoraSettings(rank=4, alpha=64)))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name or "trainable_tokens_delta" in name:
                weight.add_(0.1 * torch.randn_like(weight))
    save_router(adapted, folder)
    return folder


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_router_draws_the_tag_and_the_model_completes(checkpoint, temperature, engine_of, tmp_path):
    """The tags that the transformers engine draws; behind each what vLLM writes where it is forced."""
    routed = with_router(checkpoint, tmp_path / "routed")
    tokenizer, tags = loaded(routed)
    prompts = [render_prompt(tokenizer, f"{a} ^ {b} mod 17") for a in range(2, 8) for b in (5, 60)]
    asked = [asked_for(prompt, temperature=temperature, own_tag=True) for prompt in prompts]
    ours = by_id(TransformersEngine(model=str(routed)), asked)
    engine = engine_of(routed)
    assert next(engine.generate([asked_for("1")])).error == ""  # vLLM runs already
    found = by_id(engine, asked)
    assert [found[one.request_id].tag for one in asked] == [ours[one.request_id].tag for one in asked]
    forced = [replace(one, own_tag=False, prefix_ids=tags.token_ids[found[one.request_id].tag]) for one in asked]
    written = by_id(engine, forced)
    assert [found[one.request_id].token_ids for one in asked] == [written[one.request_id].token_ids for one in asked]
    # the adapter matters
    without = by_id(TransformersEngine(model=str(checkpoint)), asked)
    assert any(found[one.request_id].tag != without[one.request_id].tag for one in asked)


def test_a_chat_is_rendered_by_the_template(special, engine_of):
    """Our template writes `<|role|> content` for each message; a system message is written as the assistant's."""
    plain = asked_for("<|assistant|> 7 7 <|user|> 3 ^ 5 mod 17 <|assistant|> ")
    chat = asked_for("3 ^ 5 mod 17")
    (wanted,) = engine_of(special).generate([plain])
    (found,) = engine_of(special, chat=True, system="7 7").generate([chat])
    assert found.tokens_in == wanted.tokens_in == 10
    assert found.token_ids == wanted.token_ids


def test_reasoning_is_kept_apart(special):
    """The parser of deepseek_r1: up to </think> is reasoning, the opening mark may be part of the prompt."""
    tokenizer = AutoTokenizer.from_pretrained(special)
    tokenizer.add_tokens(["</think>"])
    reader = Reader(tokenizer, "deepseek_r1")

    def read(text):
        return tuple(part.strip() for part in reader.read(tokenizer(text, add_special_tokens=False)["input_ids"]))

    assert read("3 4 </think> 5 6") == ("3 4", "5 6")
    assert read("3 4") == ("3 4", "")
    assert Reader(tokenizer, None).read(tokenizer("3 4")["input_ids"]) == ("", "3 4")
    with pytest.raises(InputError, match="reasoning_parser 'no_such' does not suit"):
        Reader(tokenizer, "no_such")
    with pytest.raises(InputError, match="could not locate think"):
        Reader(AutoTokenizer.from_pretrained(special), "deepseek_r1")
