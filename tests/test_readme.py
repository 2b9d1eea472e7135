"""README, docs/ and conf/: the example runs, on a small model in place of the one it names; what they name exists."""

import importlib
import re
import sys
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from byte_tokenizer import byte_tokenizer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("conf/**/*.yml")])
PLACES = (ROOT, ROOT / "src", ROOT / "src" / "forkpipe", ROOT / "src" / "kedro_provenance")
PATH = re.compile(r"(?<![\w./-])(?:[\w.-]+/)+[\w.-]+\.(?:py|yml|toml|txt|ipynb|md)(?![\w/])")
NAME = re.compile(r"(?<![\w./-])(?:forkpipe|kedro_provenance)(?:\.\w+)+")
USERS = ("conf/mine/", "conf/local/", "my_", "data/", "04_", "/")
"""How paths begin that pages name as the reader's own."""
KEYS = ("forkpipe.schema_version",)
"""Dotted names that are keys in files."""


def exists(name):
    """Whether a dotted name can be imported."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            if not hasattr(thing, part):
                return False
            thing = getattr(thing, part)
        return True
    return False


@pytest.fixture(scope="module")
def build_site():
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        return importlib.import_module("build_site")
    finally:
        sys.path.remove(str(ROOT / "docs"))


def test_every_link_leads_somewhere_and_every_page_is_in_the_menu(build_site, tmp_path, monkeypatch):
    monkeypatch.setattr(build_site, "PAGES", tmp_path)
    assert build_site.collect() == []


def test_a_dead_link_and_a_page_out_of_the_menu_are_named(build_site, tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "new.md").write_text("[gone](gone.py), [here](new.md), `[code](gone.md)`\n")
    (tmp_path / "zensical.toml").write_text("nav = []\n")
    monkeypatch.setattr(build_site, "ROOT", tmp_path)
    monkeypatch.setattr(build_site, "PAGES", tmp_path / "site")
    monkeypatch.setattr(build_site, "tracked_files", lambda: {tmp_path / "docs" / "new.md"})
    assert build_site.collect() == [
        "docs/new.md: not in the menu, expected it under nav in zensical.toml",
        "docs/new.md: the link to gone.py leads nowhere",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_and_every_name_exists(page):
    text = re.sub(r"\]\([^)]*\)", "]", page.read_text())  # links have a test of their own
    paths = {path for path in PATH.findall(text) if not path.startswith(USERS)}
    assert [path for path in sorted(paths) if not any((place / path).exists() for place in PLACES)] == []
    text = (
        re.sub(r"^\| `.*? \| ", "", text, flags=re.MULTILINE) if page.name == "CHANGELOG.md" else text
    )  # names before
    assert [name for name in sorted({*NAME.findall(text)} - {*KEYS}) if not exists(name)] == []


@pytest.fixture
def small(tmp_path, trace_sets):
    """A model and tokenizer of Qwen2's kind, in a folder."""
    tokenizer = byte_tokenizer([trace.text for one in trace_sets(8) for trace in one.traces])
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=2, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
        )
    )  # fmt: skip
    model.save_pretrained(tmp_path / "small")
    tokenizer.save_pretrained(tmp_path / "small")
    return tmp_path / "small"


def test_the_trainer_s_example_runs(small, trace_sets, tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(code.strip().splitlines()) <= 15
    changed = code.replace("Qwen/Qwen2.5-0.5B-Instruct", str(small)).replace(
        "num_train_epochs=5", "num_train_epochs=1, use_cpu=True"
    )
    assert changed.count(str(small)) == 1
    monkeypatch.chdir(tmp_path)
    rows = [{"problem": one.problem, "traces": [{"text": t.text} for t in one.traces]} for one in trace_sets(4)]
    Dataset.from_list(rows).to_parquet("trace_sets.parquet")
    exec(changed, {"__name__": "readme"})
    model = AutoModelForCausalLM.from_pretrained("ssft/final")
    before = AutoModelForCausalLM.from_pretrained(small)
    assert not torch.equal(model.lm_head.weight, before.lm_head.weight)
    assert Path("ssft/final/forking.json").exists()
