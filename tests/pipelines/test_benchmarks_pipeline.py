"""The pipeline benchmarks: two foreign models through servers, from parameters to the report's figures."""

import sys
from pathlib import Path

import pytest
import yaml
from kedro.io import DataCatalog

sys.path += [str(Path(__file__).parents[1] / part) for part in ("engines", "evaluation")]
from fault_server import FaultServer
from measured_models import boxed, definitions, hashes, plain_model

from forkpipe.datasets.completions import CompletionStoreDataset
from forkpipe.datasets.table import StoredTableDataset, TableDataset
from forkpipe.parameters import Comparison, VerificationSettings
from forkpipe.parameters.benchmarks import BenchmarksSettings
from forkpipe.pipeline_registry import register_pipelines
from forkpipe.pipelines.benchmarks.pipeline import create_pipeline
from forkpipe.problems.benchmark_rows import load_benchmarks
from forkpipe.report.figures.benchmarks import draw, draw_table
from forkpipe.wiring import wired_for

ONE = {"answer_type": "math", "rows": 1, "sources": [{}]}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs the pipeline with some parameters `measure`, and returns a function that loads a table."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    defined = yaml.safe_load(definitions(tmp_path).read_text())

    def call(**measure):
        settings = BenchmarksSettings.model_validate(
            {"use": ["sums", "fractions"], "define": defined, "measure": measure}
        )
        entries = {
            "benchmark_problems": TableDataset(filepath=str(tmp_path / "p.parquet"), table="benchmark_problems"),
            "subjects.benchmark_generations": StoredTableDataset(
                filepath=str(tmp_path / "g.parquet"), table="benchmark_generations"
            ),
            "subjects.benchmark_completions": CompletionStoreDataset(filepath=str(tmp_path / "c.jsonl")),
            **{
                name: TableDataset(filepath=str(tmp_path / f"{name}.parquet"), table=name)
                for name in ("subjects.benchmark_scores", "benchmark_metrics", "benchmark_differences")
            },
        }
        entries["benchmark_problems"].save(load_benchmarks(settings))
        catalog = DataCatalog(entries)
        catalog["params:benchmarks"], catalog["params:seed"] = settings, 0
        catalog["params:verification"] = VerificationSettings()
        nodes = create_pipeline(Comparison())
        for node in nodes.nodes:  # as the project's hook does
            stores = {name: catalog.load(name) for name in node.stores}
            arguments = {argument: catalog.load(name) for argument, name in node._inputs.items() if name not in stores}
            arguments |= {argument: stores[name] for argument, name in node._inputs.items() if name in stores}
            made = node.func(**arguments)
            outputs = node._outputs if isinstance(node._outputs, dict) else {None: node._outputs}
            for key, name in outputs.items():
                catalog.save(name, made if key is None else made[key])
        return lambda name: catalog.load(name).to_pylist()

    return call


def test_two_models_are_measured_and_compared(run, tmp_path):
    models = {name: plain_model(tmp_path / name) for name in ("tagged", "plain")}
    before = {name: hashes(folder) for name, folder in models.items()}
    with (
        FaultServer(model="a", reply=boxed(lambda body: 7)) as first,
        FaultServer(model="b", reply=boxed(lambda body: "0.5")) as second,
    ):
        subjects = {
            name: {
                "model": str(models[name]),
                "engine": {"name": "openai", "options": {"base_url": server.url, "model": server.model}},
            }
            for name, server in (("tagged", first), ("plain", second))
        }
        subjects["tagged"]["tags"] = {"style": "text", "n": 2}
        measure = {"subjects": subjects, "policies": ["spread"], "protocols": ["avg@2", "cons@2"]}
        load = run(**measure)
        assert (len(first.requests), len(second.requests)) == (12, 12)
        assert run(**measure, bootstrap=100)("benchmark_metrics") == load("benchmark_metrics")
        assert (len(first.requests), len(second.requests)) == (12, 12)
    metrics = {
        (row["subject"], row["benchmark"], row["policy"], row["protocol"]): row["value"]
        for row in load("benchmark_metrics")
        if row["subset"] == "all"
    }
    assert metrics["tagged", "sums", "spread", "avg@2"] == metrics["tagged", "sums", "spread", "cons@2"] == 0.25
    assert metrics["plain", "fractions", "none", "avg@2"] == 0.5
    differences = {
        (row["benchmark"], row["protocol"]): row for row in load("benchmark_differences") if row["subset"] == "all"
    }
    assert differences["sums", "avg@2"]["value"] == 0.25
    assert differences["fractions", "avg@2"]["value"] == -0.5
    assert {(row["policy_a"], row["policy_b"]) for row in differences.values()} == {("spread", "none")}
    assert {name: hashes(folder) for name, folder in models.items()} == before
    rows = load("benchmark_metrics")
    assert {trace.name for trace in draw(rows).data} == {"tagged, spread", "plain, none"}
    assert len(draw_table(rows).data[0].cells["values"][0]) == 8


def test_without_models_the_tables_are_empty_and_the_figures_say_so(run):
    load = run()
    assert load("benchmark_metrics") == load("benchmark_differences") == []
    assert "No model was measured" in draw([]).layout.annotations[0].text


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        ({"policies": ["best"]}, "policy is 'best', expected one of"),
        ({"protocols": ["avg"]}, "protocol is 'avg', expected one of"),
        ({"benchmarks": ["aime24:3"]}, "measure.benchmarks names 'aime24', expected some of use: sums"),
        ({"benchmarks": ["sums:2", "sums:3"]}, "names sums twice"),
        ({"methods": ["sstf"]}, "methods names 'sstf', expected some of"),
        ({"subjects": {"ssft": {"model": "x"}}}, "subjects has 'ssft', which is a method"),
        ({"subjects": {"x": {"model": "x", "tags": "text"}}}, "expected none, or style and n"),
    ],
)
def test_wrong_parameters_are_named(measure, message):
    with pytest.raises(ValueError, match=message):
        BenchmarksSettings.model_validate({"use": ["sums"], "define": {"sums": ONE}, "measure": measure})


def test_only_benchmarks_in_use_have_nodes_in_the_default_run():
    def nodes(**benchmarks):
        with wired_for(Comparison(methods=["ssft"], benchmarks=BenchmarksSettings.model_validate(benchmarks))):
            return {name: {node.name for node in part.nodes} for name, part in register_pipelines().items()}

    of_benchmarks = {"load_benchmarks", "subjects.benchmark", "subjects.benchmark_score", "compute_benchmark_metrics"}
    without, with_some = nodes(), nodes(use=["aime24"])
    assert with_some["__default__"] - without["__default__"] == of_benchmarks
    for name in ("evaluation", "report", "train_ssft"):
        assert not without[name] & of_benchmarks
    assert of_benchmarks <= without["benchmarks"]
    with wired_for(Comparison()):
        assert not [name for name in register_pipelines()["__default__"].inputs() if "benchmark" in name]
