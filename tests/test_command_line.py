"""What is typed: lists among the parameters, and commands from any folder of the project."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from forkpipe.cli import cli

ROOT = Path(__file__).parents[1]


def params(text):
    command = cli.commands["plan"]
    return command.make_context("plan", [f"--params={text}"]).params["params"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("generation.use=[a,b],seed=1", {"generation": {"use": ["a", "b"]}, "seed": 1}),
        ("generation.use=[a, b]", {"generation": {"use": ["a", "b"]}}),
        ("x={a: 1, b: [2,3]},y=[]", {"x": {"a": 1, "b": [2, 3]}, "y": []}),
        ("seed=1, tags.n=2,", {"seed": 1, "tags": {"n": 2}}),
        ("a.b=c=d", {"a": {"b": "c=d"}}),
    ],
)
def test_values_may_be_lists(text, expected):
    assert params(text) == expected


@pytest.mark.parametrize("text", ["seed", "=1", "generation.use=[a,b", "seed=1,tags"])
def test_what_is_no_parameter_is_refused_in_one_line(text):
    with pytest.raises(click.UsageError) as error:
        params(text)
    assert "\n" not in error.value.format_message()


def test_paths_in_parameters_mean_the_same_from_every_folder(tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in ("conf", "src"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "local"))
    rows = {
        "problems": {"id": "1", "problem": "1 + 1", "expected_answer": "2"},
        "traces": {"problem": "1 + 1", "trace": "It is \\boxed{2}.", "teacher": "DeepSeek-R1"},
    }
    for name, row in rows.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    arguments = ["plan", "--env=import_traces", "--pipelines=trace_generation"]
    arguments += ["--params=inputs.problems=problems.jsonl,inputs.traces=traces.jsonl,generation.use=[deepseek_r1]"]

    def planned(folder):
        command = [sys.executable, "-m", "kedro", *arguments]
        environment = {**os.environ, "KEDRO_DISABLE_TELEMETRY": "1"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return [line for line in done.stdout.splitlines() if line.startswith("run ")]

    at_root = planned(tmp_path)
    assert "run   collect_rejected: rejected is not there" in at_root
    assert planned(tmp_path / "conf" / "base") == at_root
