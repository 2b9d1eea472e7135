"""Outside of a session, pipelines are made for what the project's configuration says."""

import shutil
from pathlib import Path

import pytest

from forkpipe import settings
from forkpipe.config import ProjectConfigLoader
from forkpipe.parameters.comparison import comparison_of
from forkpipe.wiring import chosen

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in ("base", "smoke"):
        shutil.copytree(ROOT / "conf" / name, tmp_path / "conf" / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KEDRO_ENV", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("local/parameters.yml", ""),
        ("local/parameters.yml", "methods: [ssft]"),
        ("local/parameters.yml", "benchmarks: {use: [aime24]}"),
        ("local/parameters_mine.yaml", "{seeds: [0, 1]}"),
        ("local/parameters/mine.yml", "methods: [sft]"),
        ("local/mine/parameters.json", '{"methods": ["gfpo"], "seeds": [3]}'),
        (
            "local/parameters.yml",
            "benchmarks: {use: [aime24], measure: {methods: [ssft], benchmarks: [aime24:2]}}",
        ),
        ("local/parameters.yml", "'methods': [grpo]"),
        ("smoke/parameters_more.yml", "methods: [sft, ssft]"),
    ],
)
def test_files_that_choose_nothing_are_told_apart_without_the_loader(project, monkeypatch, file, text):
    (project / "conf" / file).parent.mkdir(parents=True, exist_ok=True)
    (project / "conf" / file).write_text(text)
    environment = "smoke" if file.startswith("smoke") else None
    if environment:
        monkeypatch.setenv("KEDRO_ENV", environment)
    loader = ProjectConfigLoader(str(project / "conf"), env=environment, **settings.CONFIG_LOADER_ARGS)
    loaded = comparison_of(loader["parameters"])
    assert chosen().methods == loaded.methods
    assert chosen().replicates == loaded.replicates
    assert chosen().measured == loaded.measured
    assert chosen().benchmarks.use == loaded.benchmarks.use
