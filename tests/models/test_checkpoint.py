"""A checkpoint by its folder: what it holds, and what it costs to name one."""

import json
import shutil
import subprocess
import sys

import pytest

from forkpipe.core.errors import InputError
from forkpipe.models.checkpoint import Checkpoint
from forkpipe.models.identity import checkpoint_digest


@pytest.fixture
def folder(base, tmp_path):
    return shutil.copytree(base, tmp_path / "runs" / "base")


def test_what_the_folder_holds(folder):
    checkpoint = Checkpoint(folder)
    assert checkpoint.has_tags
    assert not checkpoint.has_router
    assert checkpoint.tags.n == 6
    assert checkpoint.encode(checkpoint.tags.tags[2]) == list(checkpoint.tags.token_ids[2])
    assert checkpoint.prompt("2 + 2", "<think1>").endswith("<think1>")
    assert checkpoint.digest == checkpoint_digest(folder)
    assert checkpoint.origin == "runs/base"


def test_texts_end_at_the_ends_of_tokenizer_and_generation_settings(folder):
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": [7, 8]}))
    checkpoint = Checkpoint(folder)
    assert checkpoint.end_ids == {7, 8, checkpoint.tokenizer.eos_token_id}
    assert checkpoint.stop_ids == checkpoint.end_ids | {checkpoint.tokenizer.pad_token_id}
    path.unlink()
    assert Checkpoint(folder).end_ids == {checkpoint.tokenizer.eos_token_id}  # as config.json says


def test_a_folder_without_tags_is_refused_when_they_are_asked_for(folder):
    (folder / "forking.json").unlink()
    checkpoint = Checkpoint(folder)
    assert not checkpoint.has_tags
    with pytest.raises(InputError, match=r"base: no forking\.json"):
        _ = checkpoint.tags


def test_a_successor_has_the_same_tokenizer_and_says_where_it_comes_from(folder, tmp_path):
    checkpoint = Checkpoint(folder)
    checkpoint.save_successor(tmp_path / "next", checkpoint.load_model(), seed=3)
    successor = Checkpoint(tmp_path / "next")
    assert successor.tags == checkpoint.tags
    assert successor.prompt("1") == checkpoint.prompt("1")
    written = json.loads((tmp_path / "next" / "forking.json").read_text())
    assert (written["base_model"], written["base_revision"]) == ("runs/base", "seed 3")


def test_naming_a_checkpoint_loads_neither_torch_nor_transformers(folder):
    script = (
        "import sys; from forkpipe.models.checkpoint import Checkpoint;"
        "checkpoint = Checkpoint(sys.argv[1]); checkpoint.has_tags, checkpoint.digest;"
        "print({'torch', 'transformers'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
