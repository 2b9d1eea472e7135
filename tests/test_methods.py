"""Methods are a choice: any subset is trained, evaluated and reported, and one that does not fit costs its row only.

All sessions run in this process, one after the other, so what one leaves behind would show in the next.
"""

import shutil
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from forkpipe.core.errors import DoesNotFitError, InputError
from forkpipe.engines.transformers import TransformersEngine
from forkpipe.left_out import does_not_fit, methods_lost
from forkpipe.parameters.comparison import comparison_of
from forkpipe.parameters.methods import METHODS
from forkpipe.session import ForkpipeSession

ROOT = Path(__file__).parents[1]
TINY = """
model: {architecture: {hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 1, num_key_value_heads: 1}}
supervised: {max_steps: 2, warmup_steps: 0, problems_per_step: 4}
rollouts: {steps: 2, problems_per_step: 2, sampling: {max_tokens: 4}}
fork_rl: {train: {router: {steps: 1}}}
evaluation: {samples_per_tag: 1, bootstrap: 100, pass_at: [1], sampling: {max_tokens: 4}}
verification:
  verifiers: {integer: number, math: math, text: exact, choice: choice, number: number}
  max_unscored: 1.0
"""
CATALOG = """
raw_problems: {type: forkpipe.demo.dataset.ModularPowersDataset, modulus: 17, first_exponent: 3, last_exponent: 5}
"""


class NoMemory(TransformersEngine):
    """The transformers engine on a machine with too little memory for the checkpoints of one method."""

    def __init__(self, *, method, **options):
        super().__init__(**options)
        self.fails = f"/{method}/" in options["model"]

    def generate(self, requests):
        if self.fails:
            import torch

            torch.empty(2**60)
        yield from super().generate(requests)


class Project:
    """A copy of the project's configuration with an environment `tiny`, and sessions in it."""

    def __init__(self, folder):
        shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
        for name in ("pyproject.toml", ".telemetry"):
            shutil.copy(ROOT / name, folder)
        for name in ("src", "conf/local", "conf/tiny"):
            (folder / name).mkdir()
        (folder / "conf/tiny/parameters.yml").write_text(TINY)
        (folder / "conf/tiny/catalog.yml").write_text(CATALOG)
        self.folder, self.data = folder, folder / "data/tiny/seed0"
        bootstrap_project(folder)

    def run(self, *names, **parameters):
        with ForkpipeSession.create(self.folder, env="tiny", runtime_params=parameters) as made:
            return made.run(pipeline_names=list(names) or None)

    def nodes(self, **parameters):
        """Return the names of the nodes of a context that Kedro's own session makes, as `kedro viz` does."""
        with KedroSession.create(self.folder, env="tiny", runtime_params=parameters) as session:
            session.load_context()
        return {node.name for node in pipelines["__default__"].nodes}

    def compared(self):
        rows = pq.read_table(self.data / "08_reporting/comparison.parquet").to_pylist()
        return list(dict.fromkeys(row["method"] for row in rows))

    def report(self):
        return (self.data / "08_reporting/report.html").read_text()

    def times(self, pattern):
        return {path: path.stat().st_mtime_ns for path in sorted(self.data.glob(pattern))}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    before = Path.cwd()
    yield Project(tmp_path_factory.mktemp("project"))
    assert Path.cwd() == before
    bootstrap_project(ROOT)


def methods_of(names, stage):
    return {name.removesuffix(f".{stage}") for name in names if name.endswith(f".{stage}")}


def test_a_context_has_the_nodes_of_its_own_parameters(project):
    chosen = project.nodes(methods=["grpo"])
    assert methods_of(chosen, "train") == {"sft", "grpo"}  # the parent is trained, and evaluated only if it is named
    assert methods_of(chosen, "generate") == methods_of(chosen, "score") == {"base", "grpo"}
    assert methods_of(project.nodes(), "train") == set(METHODS)
    assert set(pipelines) > {f"train_{method}" for method in METHODS}


def test_without_a_context_the_configuration_of_the_project_decides(project, monkeypatch):
    from forkpipe.pipeline_registry import register_pipelines

    (project.folder / "conf/one").mkdir()
    (project.folder / "conf/one/parameters.yml").write_text("methods: [sft]\n")
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("KEDRO_ENV", "one")
    assert methods_of({node.name for node in register_pipelines()["__default__"].nodes}, "train") == {"sft"}
    monkeypatch.delenv("KEDRO_ENV")
    assert methods_of({node.name for node in register_pipelines()["__default__"].nodes}, "train") == set(METHODS)


def test_any_subset_ends_with_a_report(project):
    project.run(methods=["sft"])
    assert project.compared() == ["base", "sft"]
    assert pq.read_table(project.data / "06_models/rewards.parquet").num_rows == 0
    sft = project.times("0[67]_*/sft/**/*")
    project.run(methods=["gfpo"])
    assert project.compared() == ["base", "gfpo"]
    assert not (project.data / "07_model_output/ssft").exists()
    assert "sft" not in {
        row["method"] for row in pq.read_table(project.data / "07_model_output/scores.parquet").to_pylist()
    }
    assert project.times("0[67]_*/sft/**/*") == sft  # a method that is not chosen any more keeps its files
    project.run(methods=["sft", "ssft", "gfpo"])
    assert project.compared() == ["base", "sft", "ssft", "gfpo"]
    assert project.times("0[67]_*/sft/**/*") == sft


def test_the_base_model_is_asked_without_a_tag(project):
    rows = pq.read_table(project.data / "07_model_output/base/generations.parquet").to_pylist()
    assert {(row["policy"], row["tag"], row["tag_source"]) for row in rows} == {("none", -1, "none")}
    compared = pq.read_table(project.data / "08_reporting/comparison.parquet").to_pylist()
    base = [row for row in compared if row["method"] == "base"]
    assert {row["protocol"] for row in base} == {"pass@1", "cons@6", "pass@6"}
    assert {(row["policy"], row["tokens_trained"], row["rollouts"], row["validation_rollouts"]) for row in base} == {
        ("none", 0, 0, 0)
    }


def failing(method):
    """Return settings under which checkpoints of the method do not fit; no answer to them is in a store yet."""
    options = {"engine": "test_methods:NoMemory", "options": {"method": method}}
    return options | {"sampling": {"max_tokens": 5}}


def test_a_method_that_cannot_be_sampled_costs_its_row(project):
    with pytest.raises(click.ClickException, match=r"^missing: ssft_fixed \(.*memory.*\)$"):
        project.run(methods=["ssft_fixed", "ssft"], evaluation=failing("ssft_fixed"))
    assert project.compared() == ["base", "ssft"]
    assert "ssft_fixed is missing: " in project.report()
    project.run(methods=["ssft_fixed", "ssft"])
    assert project.compared() == ["base", "ssft_fixed", "ssft"]
    assert "ssft_fixed is missing: " not in project.report()


def test_a_method_that_cannot_be_trained_takes_those_trained_from_it_along(project):
    """gfpo draws its rollouts from ssft; sft is left."""
    with pytest.raises(click.ClickException, match=r"^missing: gfpo \(.*memory"):
        project.run(methods=["sft", "gfpo"], rollouts=failing("ssft"))
    assert project.compared() == ["base", "sft"]
    assert methods_lost("ssft.train", MemoryError()).keys() == {"ssft", "gfpo", "fork_rl"}
    assert methods_lost("ssft.generate", MemoryError()).keys() == {"ssft"}


def test_where_the_failed_method_is_all_that_was_asked_for_the_error_stays(project):
    for asked in ({"methods": ["gfpo"]}, {"methods": ["gfpo", "ssft"]}):
        names = [] if asked["methods"] == ["gfpo"] else ["train_gfpo"]
        with pytest.raises(RuntimeError, match="memory"):
            project.run(*names, rollouts=failing("ssft"), **asked)


def test_an_error_that_may_pass_ends_the_run():
    for error in (InputError("the server does not answer"), RuntimeError("CUDA error: device busy"), OSError("disk")):
        assert methods_lost("sft.train", error) == {}
    assert methods_lost("collect_scores", MemoryError()) == {}
    assert methods_lost("base.generate", MemoryError()) == {}


def test_what_does_not_fit_is_found_among_the_causes():
    error = RuntimeError("node failed")
    error.__cause__ = DoesNotFitError("scope is 'head' and the model ties its embeddings")
    assert does_not_fit(error) == "scope is 'head' and the model ties its embeddings"
    assert does_not_fit(MemoryError()) == "MemoryError"
    assert len(does_not_fit(RuntimeError("CUDA out of memory. " + "GPU " * 200))) == 200
    assert does_not_fit(ValueError("no")) == ""


@pytest.mark.parametrize(
    ("methods", "message"),
    [([], "parameter methods is \\[\\]"), (["sfft"], "parameter methods.0 is 'sfft': input should be 'sft', ")],
)
def test_a_wrong_choice_is_named(methods, message):
    with pytest.raises(InputError, match=message):
        comparison_of({"methods": methods})


def test_methods_are_in_the_order_of_reports_whatever_the_order_given():
    assert comparison_of({"methods": ["gfpo", "sft", "sft"]}).methods == ["sft", "gfpo"]
    assert comparison_of({}).methods == list(METHODS)
