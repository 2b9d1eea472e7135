"""The shape of the paper in small, from files to figures: two training sources, an RL source, three benchmarks.

A method of the run and a foreign model with text tags are measured on the benchmarks, by the real command line.
"""

import sys
from pathlib import Path

import pytest
import yaml

from test_end_to_end import Project

sys.path.append(str(Path(__file__).parent / "evaluation"))
from measured_models import hashes, plain_model, write_rows

BENCHMARKS = ("first", "second", "third")


def powers(exponents, base=3):
    return [
        {"id": f"{base}-{exponent}", "problem": f"{base} ^ {exponent} mod 17", "answer": str(pow(base, exponent, 17))}
        for exponent in exponents
    ]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = Project(tmp_path_factory.mktemp("paper"))
    folder = made.folder
    # The last problem of the first source is one of a benchmark, which must not be trained on.
    files = {
        "easy": powers(range(3, 15)) + powers([41], base=5),
        "hard": powers(range(20, 30), base=6),
        "rl": powers(range(30, 40), base=7),
        **{name: powers(range(40, 43), base=5 + number) for number, name in enumerate(BENCHMARKS)},
    }
    for name, rows in files.items():
        write_rows(folder / f"{name}.jsonl", rows)
    plain_model(folder / "foreign")
    parameters = yaml.safe_load((folder / "conf/smoke/parameters.yml").read_text())
    uses = {"easy": "train", "hard": "train", "rl": "rl"}
    parameters["problems"] = {"sources": {name: {"file": f"{name}.jsonl", "use": use} for name, use in uses.items()}}
    parameters["methods"] = ["ssft", "gfpo"]
    parameters["benchmarks"] = {
        "use": list(BENCHMARKS),
        "define": {
            name: {"answer_type": "integer", "rows": 3, "sources": [{"file": f"{name}.jsonl"}], "prompt": "{problem}"}
            for name in BENCHMARKS
        },
        "measure": {
            "methods": ["gfpo"],
            "subjects": {"foreign": {"model": "foreign", "tags": {"style": "text", "n": 6}}},
            "benchmarks": ["first:6", "second:6", "third"],
            "policies": ["tag:1", "spread", "own"],
            "protocols": ["avg@2", "cons@6"],
            "sampling": {"max_tokens": 8},
        },
    }
    parameters["model"]["prompt"] = "{problem}"
    (folder / "conf/small").mkdir()
    (folder / "conf/small/parameters.yml").write_text(yaml.safe_dump(parameters))
    made.data = folder / "data" / "small" / "seed0"
    return made


def test_from_files_to_figures_of_every_model_on_every_benchmark(project):
    before = hashes(project.folder / "foreign")
    said = project.kedro("run", "--env=small", "--pipelines=benchmarks")
    assert "run   gfpo.train: gfpo.checkpoint is not there and" in said
    assert "sft.train" not in said.replace("ssft.train", "")  # nobody asks for it
    problems = project.table("02_intermediate/problems.parquet")
    assert {row["source"]: row["split"] for row in problems} == {"easy": "train", "hard": "train", "rl": "rl"}
    assert "5 ^ 41 mod 17" not in {row["problem"] for row in problems}
    metrics = [row for row in project.table("08_reporting/benchmark_metrics.parquet") if row["subset"] == "all"]
    assert {(row["subject"], row["benchmark"], row["policy"], row["protocol"]) for row in metrics} == {
        (subject, benchmark, policy, protocol)
        for subject in ("gfpo", "foreign")
        for benchmark in BENCHMARKS
        for policy in ("tag:1", "spread", "own")
        for protocol in ("avg@2", "cons@6")
    }
    samples = project.table("07_model_output/subjects/benchmark_generations.parquet")
    # Six under tag 1 for cons@6 of tag:1, one under each other tag for cons@6 of spread, six of the model's own.
    assert len(samples) == 3 * 3 * (5 + 6 + 6)
    assert {row["own_tag"] for row in samples if row["asked"] == "own"} <= set(range(6))
    assert hashes(project.folder / "foreign") == before
    assert project.table("08_reporting/benchmark_differences.parquet")
    assert "nothing to run" in project.kedro("run", "--env=small", "--pipelines=benchmarks")


def test_another_protocol_asks_for_no_sample(project):
    store = project.data / "07_model_output/subjects/benchmark_completions.jsonl"
    before = store.read_bytes()
    said = project.kedro(
        "run", "--env=small", "--pipelines=benchmarks", "--params=benchmarks.measure.protocols=[pass@2,cons@3]"
    )
    assert "train" not in said.partition("running")[2]
    assert store.read_bytes() == before
    rows = project.table("08_reporting/benchmark_metrics.parquet")
    assert {row["protocol"] for row in rows} == {"pass@2", "cons@3"}
