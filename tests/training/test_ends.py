"""What ends a completion: it is trained with the token that was drawn. And how long a sequence may be."""

import dataclasses
import json
import shutil

import pytest
from test_policies import ROLLOUTS, odd_length, train
from test_supervised import train as train_supervised

from forkpipe.core.errors import InputError
from forkpipe.core.records import Completion, Request, Sampling
from forkpipe.models.checkpoint import Checkpoint, end_of, load_checkpoint
from forkpipe.models.positions import check_positions, max_positions
from forkpipe.stores.completions import CompletionStore
from forkpipe.training.anchors import written_sequences
from forkpipe.training.phases.base import Context
from forkpipe.training.phases.drawing import OwnTags


@pytest.fixture
def ending(base, tmp_path):
    """A checkpoint at which half of the vocabulary ends a text, as generation_config.json says."""
    folder = tmp_path / "ending"
    shutil.copytree(base, folder)
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text())
    _, _, tags = load_checkpoint(folder)
    listed = [token for token in range(0, 100, 2) if (token,) not in tags.token_ids]
    path.write_text(json.dumps({**settings, "eos_token_id": [settings["eos_token_id"], *listed]}))
    return folder, {settings["eos_token_id"], *listed}


def test_rollouts_are_trained_with_the_end_that_was_drawn(ending, tmp_path, rl_problems):
    folder, ends = ending
    model, tokenizer, tags = load_checkpoint(folder)
    (problem,) = rl_problems(1)
    context = Context(
        "test", [problem], (), odd_length, ROLLOUTS, CompletionStore(tmp_path / "r.jsonl"), "{problem}", 0
    )
    drawn = OwnTags(model, Checkpoint(folder), {problem.problem: problem}, context, "job")
    trainer = type("Trainer", (), {"state": type("State", (), {"global_step": 0})})
    found = drawn.rollouts([problem.problem] * 24, trainer)
    last = [
        ids[-1] for ids, one in zip(found["completion_ids"], found["drawn"], strict=True) if one.finish_reason == "stop"
    ]
    assert len(last) > 12
    assert set(last) <= ends
    assert set(last) - {tokenizer.eos_token_id}
    for ids, one in zip(found["completion_ids"], found["drawn"], strict=True):
        end = [one.end_id] if one.finish_reason == "stop" else []
        assert ids == [*tags.token_ids[one.tag], *one.token_ids, *end]


def test_an_anchor_holds_the_end_that_was_drawn_and_survives_the_store(base, tmp_path):
    _, tokenizer, _ = load_checkpoint(base)
    eos = tokenizer.eos_token_id
    request = Request("a", "p", "3", "3", 0, 0, Sampling())
    done = {
        "a": Completion("a", token_ids=(7, 8), end_id=9),
        "b": Completion("b", token_ids=(7, 8)),  # a text's engine
        "c": Completion("c", token_ids=(7, 8), finish_reason="length"),
    }
    store = CompletionStore(tmp_path / "rollouts.jsonl")
    store.append(done.values())
    held = store.of([dataclasses.replace(request, request_id=name) for name in done])
    assert held == done
    written = [ids for _, ids in written_sequences([(request, held[name]) for name in "abc"], tokenizer)]
    assert written == [[7, 8, 9], [7, 8, eos], [7, 8]]
    # What an earlier version wrote does not say.
    line = json.loads((tmp_path / "rollouts.jsonl").read_text().splitlines()[0])
    del line["end_id"]
    (tmp_path / "rollouts.jsonl").write_text(json.dumps(line) + "\n")
    assert end_of(store.of([request])["a"], tokenizer) == [eos]


def test_a_length_beyond_the_model_s_positions_is_refused(base, tmp_path, trace_sets, rl_problems):
    """The model of these tests has 64."""
    with pytest.raises(InputError) as caught:
        train_supervised(base, tmp_path, trace_sets(4), max_length=65)
    assert str(caught.value) == (
        "supervised.max_length is 65 and the model has 64 positions (max_position_embeddings), expected at most 64"
    )
    train_supervised(base, tmp_path, trace_sets(4), max_length=64, max_steps=3)
    sampling = ROLLOUTS.sampling.model_copy(update={"max_tokens": 65})
    with pytest.raises(InputError, match=r"rollouts.sampling.max_tokens is 65 and the model has 64 positions"):
        train(base, tmp_path, rl_problems(4), {"one": {"kind": "traces"}}, steps=1, sampling=sampling)


def test_without_a_length_the_model_s_positions_are_the_longest(base, tmp_path, trace_sets):
    folder = tmp_path / "short"
    shutil.copytree(base, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 20}))
    with pytest.raises(InputError, match=r"has \d+ tokens with its prompt, expected at most max_length, 20"):
        train_supervised(folder, tmp_path, trace_sets(4))


def test_positions_as_models_state_them():
    from transformers import LlamaConfig, MambaConfig, Qwen2Config

    assert max_positions(LlamaConfig(max_position_embeddings=64)) == 64
    assert max_positions(MambaConfig()) is None
    check_positions(10**9, MambaConfig(), "max_length")
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768, "rope_theta": 1e6}
    assert max_positions(Qwen2Config(max_position_embeddings=32768, rope_parameters=yarn)) == 131072
    assert max_positions(Qwen2Config(max_position_embeddings=131072, rope_parameters=yarn)) == 131072
