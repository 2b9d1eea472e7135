"""The digest of a checkpoint: equal where answers are equal, different where they may differ."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from forkpipe.models import identity
from forkpipe.models.identity import checkpoint_digest

SAVE = """
import sys
from pathlib import Path
from forkpipe.models.checkpoint import Checkpoint, save_checkpoint
given = Checkpoint(sys.argv[1])
save_checkpoint(sys.argv[2], given.load_model(), given.tokenizer, given.tags, base=given.origin, revision="main")
"""


@pytest.fixture
def folder(base, tmp_path):
    return shutil.copytree(base, tmp_path / "checkpoint")


def edit(path, **fields):
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**content, **fields}, indent=1))


def test_environment_variables_and_folders_are_no_part_of_it(base, tmp_path):
    saved = []
    for name, variables in (("here", {}), ("there/else", {"HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": "7"})):
        place = tmp_path / name
        shutil.copytree(base, place / "given")
        command = [sys.executable, "-c", SAVE, str(place / "given"), str(place / "saved")]
        subprocess.run(command, env={**os.environ, "HF_HUB_OFFLINE": "", **variables}, check=True)
        saved.append(place / "saved")
    texts = [(folder / "tokenizer_config.json").read_text() for folder in saved]
    assert texts[0] != texts[1]  # transformers writes down whether it was offline
    assert checkpoint_digest(saved[0]) == checkpoint_digest(saved[1])


@pytest.mark.parametrize(
    ("file", "fields"),
    [
        ("config.json", {"transformers_version": "9.0", "_name_or_path": "/models/x", "torch_dtype": "float16"}),
        ("config.json", {"dtype": "bfloat16"}),
        ("generation_config.json", {"transformers_version": "9.0"}),
        ("tokenizer_config.json", {"local_files_only": True, "is_local": False, "name_or_path": "org/name"}),
        ("tokenizer.json", {"padding": {"strategy": "BatchLongest"}, "truncation": {"max_length": 8}}),
        ("forking.json", {"base_model": "elsewhere/base", "base_revision": "seed 9"}),
        ("trainer_state.json", {"global_step": 3}),
        ("original/config.json", {"a": 1}),
    ],
)
def test_incidental_fields_and_files_do_not_count(folder, file, fields):
    before = checkpoint_digest(folder)
    (folder / file).parent.mkdir(exist_ok=True)
    edit(folder / file, **fields)
    (folder / "README.md").write_text("a card")
    assert checkpoint_digest(folder) == before


@pytest.mark.parametrize(
    ("file", "fields"),
    [
        ("config.json", {"rms_norm_eps": 0.1}),
        ("generation_config.json", {"eos_token_id": [1, 2]}),
        ("generation_config.json", {"repetition_penalty": 1.1}),
        ("tokenizer_config.json", {"eos_token": "<|other|>"}),
        ("tokenizer.json", {"model": {"type": "WordLevel", "vocab": {"dtype": 0}}}),
        ("forking.json", {"deciding_positions": [1]}),
        ("router/adapter_config.json", {"r": 4}),
    ],
)
def test_what_changes_an_answer_counts(folder, file, fields):
    (folder / "router").mkdir(exist_ok=True)
    before = checkpoint_digest(folder)
    edit(folder / file, **fields)
    assert checkpoint_digest(folder) != before


def test_weights_template_and_words_of_the_vocabulary_count(folder):
    digests = {checkpoint_digest(folder)}
    for name in ("model.safetensors", "chat_template.jinja", "tokenizer.json"):
        content = bytearray((folder / name).read_bytes())
        position = content.index(b"42") if name == "tokenizer.json" else len(content) - 2
        content[position] ^= 1
        (folder / name).write_bytes(content)
        digests.add(checkpoint_digest(folder))
    assert len(digests) == 4


def test_names_in_an_adapter_have_no_order(folder):
    (folder / "router").mkdir()
    adapter = folder / "router/adapter_config.json"
    names = ["q_proj", "v_proj", "k_proj"]
    edit(adapter, target_modules=names, base_model_name_or_path="/a", peft_version="1")
    before = checkpoint_digest(folder)
    edit(adapter, target_modules=names[::-1], base_model_name_or_path="/b", peft_version="2")
    assert checkpoint_digest(folder) == before
    edit(adapter, target_modules=names[:2])
    assert checkpoint_digest(folder) != before


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """Keep the digests of all checkpoints, as those of large ones are; a list that grows with every reading."""
    monkeypatch.setattr(identity, "LARGE_BYTES", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    readings = []
    original = identity._digest_of

    def counted(paths, folder):
        readings.append(folder)
        return original(paths, folder)

    monkeypatch.setattr(identity, "_digest_of", counted)
    return readings


def test_a_large_checkpoint_is_read_once(folder, kept, monkeypatch):
    first = checkpoint_digest(folder)
    assert checkpoint_digest(folder) == first
    assert len(kept) == 1
    monkeypatch.setattr(identity, "LARGE_BYTES", 1 << 40)
    assert checkpoint_digest(folder) == first  # it is the same as of a small one


def test_a_change_that_keeps_size_and_time_is_seen(folder, kept):
    weights = folder / "model.safetensors"
    before, stat = checkpoint_digest(folder), weights.stat()
    content = bytearray(weights.read_bytes())
    content[-2] ^= 1
    weights.write_bytes(content)
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert weights.stat().st_mtime_ns == stat.st_mtime_ns
    assert checkpoint_digest(folder) != before


def test_a_file_more_or_less_is_seen(folder, kept):
    before = checkpoint_digest(folder)
    (folder / "vocab.txt").write_text("a word")
    assert checkpoint_digest(folder) != before
    (folder / "vocab.txt").unlink()
    assert checkpoint_digest(folder) == before


def test_without_a_place_for_the_cache_it_is_read_each_time(folder, kept, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert checkpoint_digest(folder) == checkpoint_digest(folder)
    assert len(kept) == 2


def test_a_torn_cache_is_not_believed(folder, kept, tmp_path):
    first = checkpoint_digest(folder)
    (entry,) = (tmp_path / "cache/forkpipe/digests").iterdir()
    for text in ("", entry.read_text()[:16], entry.read_text()[:17]):
        entry.write_text(text)
        assert checkpoint_digest(folder) == first
