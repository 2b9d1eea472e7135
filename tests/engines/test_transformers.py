"""Sampling from a checkpoint: seeds, tags, limits."""

import pytest
import torch

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.core.records import Request, Sampling
from forkpipe.engines.drawing import Sampler
from forkpipe.engines.transformers import TransformersEngine

TAGS = ForkingTags("special", ("a", "b"), ((3,), (4,)), (0,))


def request(sample=0, temperature=1.0, top_p=1.0, max_tokens=8, **more):
    return Request.create(
        problem_id="p",
        problem="1",
        asked_of="m",
        revision="",
        prompt="1",
        sample=sample,
        sampling=Sampling(temperature, top_p, max_tokens),
        **more,
    )


def draw(requests, logits, tags=None, written=None):
    """Return the token each row draws, at its first step where nothing is written."""
    written = torch.zeros(len(requests), 0, dtype=torch.long) if written is None else written
    return Sampler(requests, tags, "cpu")(written, logits)[:, 0]


def test_frequencies_follow_the_softmax():
    """4,000 draws with p = (.7, .2, .1): sd of the first share is .007."""
    logits = torch.tensor([0.7, 0.2, 0.1]).log().expand(4000, 3)
    drawn = draw([request(i) for i in range(4000)], logits)
    shares = torch.bincount(drawn, minlength=3) / 4000
    assert shares.tolist() == pytest.approx([0.7, 0.2, 0.1], abs=0.03)


def test_temperature_sharpens_and_zero_is_greedy():
    """At temperature .5, p = (.7, .2, .1) becomes (.49, .04, .01) / .54."""
    logits = torch.tensor([0.7, 0.2, 0.1]).log().expand(4000, 3)
    drawn = draw([request(i, temperature=0.5) for i in range(4000)], logits)
    assert (drawn == 0).float().mean().item() == pytest.approx(0.49 / 0.54, abs=0.02)
    assert (draw([request(i, temperature=0.0) for i in range(100)], logits[:100]) == 0).all()


def test_top_p_keeps_the_fewest_tokens_that_reach_it():
    """p = (.5, .3, .2): top_p .6 keeps two, renormalised to 5/8 and 3/8; top_p .5 keeps one."""
    logits = torch.tensor([0.5, 0.3, 0.2]).log().expand(4000, 3)
    drawn = draw([request(i, top_p=0.6) for i in range(4000)], logits)
    shares = torch.bincount(drawn, minlength=3) / 4000
    assert shares.tolist() == pytest.approx([5 / 8, 3 / 8, 0.0], abs=0.03)
    assert (draw([request(i, top_p=0.5) for i in range(200)], logits[:200]) == 0).all()


def test_tags_are_drawn_first_and_banned_later():
    """Six tokens of which 3 and 4 are tags, made the likeliest: only `own_tag` may draw them, and only first."""
    logits = torch.tensor([0.0, 0.0, 0.0, 9.0, 9.0, 0.0]).expand(300, 6)
    own = [request(i, own_tag=True) for i in range(300)]
    assert set(draw(own, logits, TAGS).tolist()) == {3, 4}
    later = torch.tensor([[3]]).expand(300, 1)
    assert not {3, 4} & set(draw(own, logits, TAGS, later).tolist())
    forced = [request(i, prefix_ids=(3,)) for i in range(300)]
    assert not {3, 4} & set(draw(forced, logits, TAGS).tolist())


def test_an_own_text_tag_follows_one_of_the_tags():
    """Tags (1, 2, 5) and (1, 3, 5): after 1 only 2 or 3, after (1, 3) only 5."""
    tags = ForkingTags("text", ("a", "b"), ((1, 2, 5), (1, 3, 5)), (1,))
    own = [request(i, own_tag=True) for i in range(50)]
    logits = torch.zeros(50, 7)
    assert set(draw(own, logits, tags).tolist()) == {1}
    assert set(draw(own, logits, tags, torch.tensor([[1]]).expand(50, 1)).tolist()) == {2, 3}
    assert set(draw(own, logits, tags, torch.tensor([[1, 3]]).expand(50, 2)).tolist()) == {5}


def test_a_completion_does_not_depend_on_its_batch(base, rl_problems):
    from forkpipe.models.checkpoint import load_checkpoint, render_prompt

    _, tokenizer, tags = load_checkpoint(base)
    requests = [
        Request.create(
            problem_id=one.problem_id,
            problem=one.problem,
            asked_of="m",
            revision="",
            prompt=render_prompt(tokenizer, one.problem + " 7" * (i % 3)),
            sample=0,
            sampling=Sampling(1.0, 0.95, 10),
            own_tag=i % 2 == 0,
            prefix_ids=() if i % 2 == 0 else tags.token_ids[2],
        )
        for i, one in enumerate(rl_problems(12))
    ]
    whole = {one.request_id: one for one in TransformersEngine(model=str(base), batch_rows=12).generate(requests)}
    parts = {one.request_id: one for one in TransformersEngine(model=str(base), batch_rows=5).generate(requests)}
    assert len(whole) == 12
    for request_id, one in whole.items():
        assert parts[request_id].token_ids == one.token_ids
        assert parts[request_id].tag == one.tag
        assert one.tag is not None
        assert one.tokens_out == len(one.token_ids) <= 10
        assert (one.finish_reason == "length") == (one.tokens_out == 10)


def test_rows_that_have_ended_are_taken_out_and_yielded_at_once(base, monkeypatch):
    """Limits 1, 2, 4 and 8, seven rows of the first: 10 rows, 3 after one step, 2 after two, 1 after four."""
    from transformers import LlamaForCausalLM

    rows = []
    forward = LlamaForCausalLM.forward

    def counted(self, *args, **kwargs):
        rows.append(len(kwargs["input_ids"]))
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(LlamaForCausalLM, "forward", counted)
    limits = [1] * 7 + [2, 4, 8]
    asked = [request(i, temperature=0.0, max_tokens=limit) for i, limit in enumerate(limits)]
    engine = TransformersEngine(model=str(base), batch_rows=10)
    came = []
    for one in engine.generate(asked):
        came.append((one.tokens_out, len(rows)))
        assert not torch.is_inference_mode_enabled()
    assert [tokens for tokens, _ in came] == limits
    assert [steps for _, steps in came] == limits
    assert rows == [10, 3, 2, 2, 1, 1, 1, 1]


def test_a_completion_is_the_same_alone_and_in_any_batch(base):
    """Whatever else is in the batch is longer, shorter, ends earlier or later, or writes its own tag."""
    from forkpipe.models.checkpoint import load_checkpoint

    _, tokenizer, tags = load_checkpoint(base)
    words = sorted((word for word in tokenizer.get_vocab() if word.isdigit()), key=int)  # it has no order of its own
    generator = torch.Generator().manual_seed(0)
    asked = []
    for i in range(24):
        length, limit = torch.randint(1, 20, (2,), generator=generator).tolist()
        asked.append(
            Request.create(
                problem_id="p",
                problem="p",
                asked_of="m",
                revision="",
                prompt=" ".join(words[:length]),
                sample=i,
                sampling=Sampling((0.0, 0.7, 1.0)[i % 3], (1.0, 0.9)[i % 2], limit),
                own_tag=i % 4 == 0,
                prefix_ids=tags.token_ids[i % 6] if i % 4 == 1 else (),
            )
        )
    engine = TransformersEngine(model=str(base), batch_rows=24)
    together = {one.request_id: one for one in engine.generate(asked)}
    assert {one.finish_reason for one in together.values()} == {"stop", "length"}
    for one in asked:
        (alone,) = engine.generate([one])
        found = together[one.request_id]
        assert (alone.token_ids, alone.tag, alone.finish_reason) == (found.token_ids, found.tag, found.finish_reason)


def test_an_own_tag_needs_a_checkpoint_with_tags(base, tmp_path):
    import shutil

    plain = tmp_path / "plain"
    shutil.copytree(base, plain)
    (plain / "forking.json").unlink()
    with pytest.raises(InputError, match=r"no forking\.json"):
        list(TransformersEngine(model=str(plain)).generate([request(own_tag=True)]))


def test_settings_of_the_model_do_not_change_what_is_drawn(base, tmp_path):
    """A penalty in generation_config.json would be an unrecorded sampling setting; more end tokens end texts."""
    import json
    import shutil

    other = tmp_path / "other"
    shutil.copytree(base, other)
    path = other / "generation_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "repetition_penalty": 50.0, "temperature": 0.01, "do_sample": True}))
    requests = [request(i, max_tokens=20) for i in range(8)]

    def texts(folder):
        return {one.request_id: one.token_ids for one in TransformersEngine(model=str(folder)).generate(requests)}

    drawn = texts(base)
    assert texts(other) == drawn
    longest = max(drawn.values(), key=len)
    path.write_text(json.dumps({**settings, "eos_token_id": [settings["eos_token_id"], longest[3]]}))
    ended = {one.request_id: one for one in TransformersEngine(model=str(other), batch_rows=1).generate(requests)}
    (cut,) = [one for one in ended.values() if drawn[one.request_id] == longest]
    assert longest[3] not in cut.token_ids
    assert cut.finish_reason == "stop"
    assert cut.end_id == longest[3]
    whole = [one for one in ended.values() if one.finish_reason == "length"]
    assert {one.end_id for one in whole} <= {None}
