"""The real pipelines through the real command line, on the environment `smoke`, in a copy of the project.

Unit tests do not see: the order in which targets are made, hooks, config loading, namespaces, what a user reads on the
terminal. One copy serves all tests here, in the order in which a newcomer would type.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from forkpipe.core.schemas import SCHEMAS
from forkpipe.parameters.methods import COMPARED

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "KEDRO_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}


class Project:
    """A fresh copy of the project, with commands typed in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        left_out = shutil.ignore_patterns("__pycache__", "*.egg-info", ".ipynb_checkpoints", "local")
        for name in ("conf", "notebooks", "src"):
            shutil.copytree(ROOT / name, folder / name, ignore=left_out)
        (folder / "conf" / "local").mkdir()
        shutil.copy(ROOT / "pyproject.toml", folder)
        self.data = folder / "data" / "smoke" / "seed0"

    def kedro(self, *arguments: str, fails: bool = False) -> str:
        command = [sys.executable, "-m", "kedro", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def run(self, *arguments: str, fails: bool = False) -> str:
        return self.kedro("run", "--env=smoke", *arguments, fails=fails)

    def table(self, path: str) -> list[dict]:
        return pq.read_table(self.data / path).to_pylist()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("project"))


def test_a_target_in_a_fresh_clone_makes_what_it_needs(project):
    said = project.run("--pipeline=train_gfpo")
    assert "run   ssft.train: ssft.checkpoint is not there and" in said
    assert (project.data / "06_models/gfpo/checkpoint/forking.json").exists()
    assert (project.data / "06_models/ssft/checkpoint/forking.json").exists()
    assert not (project.data / "06_models/sft").exists()  # nobody needs it


def test_another_target_leaves_what_is_there(project):
    said = project.run("--pipelines=trace_generation")
    assert "run   collect_rejected: rejected is not there" in said
    assert "run   report_generation: generation_report is not there" in said
    assert "2 nodes ran" in said
    assert "nothing to run" in project.run("--pipelines=train_gfpo")


def test_the_whole_ends_with_the_comparison_and_the_report(project):
    said = project.run()
    for method in COMPARED:
        assert f"\n{method} " in said
    assert f"Report: {project.data / '08_reporting/report.html'}" in said
    page = (project.data / "08_reporting/report.html").read_text()
    assert all(method in page for method in COMPARED)


def test_every_table_has_its_schema_and_the_run(project):
    kept = ("verdict_store", "strategy_store")  # stores of results, no tables
    paths = sorted(path for path in project.data.rglob("*.parquet") if path.parent.name not in kept)
    assert len(paths) > 25
    runs = set()
    for path in paths:
        table = pq.read_table(path)
        name = (table.schema.metadata or {})[b"forkpipe.table"].decode()
        assert table.schema.equals(SCHEMAS[name]), path
        runs |= set(table.column("run_id").to_pylist())
    assert all(run[:2] == "20" for run in runs)  # Kedro's session ids are times


def test_what_the_tables_say_adds_up(project):
    problems = {row["problem_id"]: row for row in project.table("02_intermediate/problems.parquet")}
    traces = {row["trace_id"]: row for row in project.table("03_primary/traces.parquet")}
    verdicts = {row["trace_id"]: row["verdict"] for row in project.table("03_primary/verdicts.parquet")}
    rejected = project.table("05_model_input/rejected.parquet")
    sets = project.table("05_model_input/trace_sets.parquet")
    train = {one for one, row in problems.items() if row["split"] == "train"}
    assert set(verdicts) == set(traces)
    assert {row["problem_id"] for row in traces.values()} == train
    # every trace is a strategy's or rejected, once
    clustered = {row["trace_id"] for row in project.table("04_feature/strategies.parquet")}
    dropped = [row["id"] for row in rejected if row["stage"] == "traces"]
    assert sorted([*clustered, *dropped]) == sorted(traces)
    for row in sets:
        assert 2 <= len(row["traces"]) <= 4
        assert len({trace["strategy"] for trace in row["traces"]}) == len(row["traces"])
        assert all(verdicts[trace["trace_id"]] == "correct" for trace in row["traces"])
    assert {row["problem_id"] for row in sets} | {r["id"] for r in rejected if r["stage"] == "trace_sets"} == train
    agreement = json.loads((project.data / "04_feature/strategy_agreement.json").read_text())
    assert agreement["v_measure"] > 0.9


def test_budgets_are_equal_and_counted(project):
    rows = project.table("08_reporting/comparison.parquet")
    rollouts = {row["method"]: row["rollouts"] for row in rows}
    by_rl = dict.fromkeys(["grpo", "gfpo", "fork_rl"], 48)
    assert rollouts == dict.fromkeys(["base", "sft", "ssft_random", "ssft_fixed", "ssft"], 0) | by_rl
    tokens = {row["method"]: row["tokens_trained"] for row in rows}
    assert tokens["base"] == 0 < tokens["sft"]
    assert tokens["sft"] == tokens["ssft_random"] == tokens["ssft"] == tokens["gfpo"]
    chosen = {row["method"] for row in rows if row["policy"] == "best_tag" and row["validation_rollouts"] > 0}
    assert chosen >= {"ssft", "ssft_random"}
    for method in ("grpo", "gfpo", "fork_rl"):
        assert len(project.table(f"06_models/{method}/rewards.parquet")) == 48
    phases = [row["phase"] for row in project.table("06_models/fork_rl/training_log.parquet")]
    assert phases == ["router", "traces", "fold", "fold"]


def test_the_notebook_runs(project, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("KEDRO_ENV", "smoke")
    path = project.folder / "notebooks" / "results.ipynb"
    NotebookClient(
        nbformat.read(path, as_version=4), timeout=120, resources={"metadata": {"path": path.parent}}
    ).execute()


def test_a_second_run_has_nothing_to_do_and_another_seed_spoils_nothing(project):
    assert "nothing to run: all 40 nodes are fresh" in project.kedro("plan", "--env=smoke")
    assert "run   build_trace_sets" in project.run("--pipelines=trace_generation", "--params=seed=1")
    assert "nothing to run: all 40 nodes are fresh" in project.run()
    assert "0 nodes ran, 40 were fresh" in project.run()


def test_the_plan_names_what_a_parameter_changes(project):
    said = project.kedro("plan", "--env=smoke", "--params=gfpo.train.tags.learning_rate=0.02")
    planned = [line for line in said.splitlines() if line.startswith(("run ", "maybe "))]
    assert planned[0] == "run   gfpo.train: parameter gfpo.train.tags.learning_rate 0.01 -> 0.02"
    names = [line.split()[1].rstrip(":") for line in planned[1:]]
    assert set(names) == {
        "gfpo.generate", "gfpo.score", "collect_training", "collect_scores", "measure_tag_information",
        "pick_sample_texts", "compute_metrics", "compare_methods", "make_figures", "make_report",
    }  # fmt: skip
    assert "nothing to run" in project.kedro("plan", "--env=smoke", "--params=rollouts.batch_rows=7")


def test_a_limit_ends_a_run_in_one_line_and_the_next_goes_on(project):
    target = ("--pipelines=trace_generation", "--params=seed=2,generation.limits.tokens=1000")
    said = project.run(*target, fails=True)
    assert "Error: generation.limits.tokens is 1000, this run has spent 10" in said
    assert "requests are not asked (square_multiply " in said
    assert "Traceback" not in said
    other = project.folder / "data/smoke/seed2"
    assert not (other / "03_primary/traces.parquet").exists()
    said = project.run("--pipelines=trace_generation", "--params=seed=2")
    assert " 0 already in the store" in said  # of the teachers that were not reached
    table = pq.read_table(other / "05_model_input/generation_report.parquet")
    report = {row["teacher"]: row for row in table.to_pylist()}
    assert 0 < report["square_multiply"]["asked"] < report["square_multiply"]["requests"]
    assert sum(row["kept"] for row in report.values()) == sum(
        len(row["traces"]) for row in pq.read_table(other / "05_model_input/trace_sets.parquet").to_pylist()
    )
    assert all(row["requests"] == row["attempts"] and row["not_asked"] == 0 for row in report.values())


def test_cleaning_says_what_it_would_drop_and_then_drops_it(project):
    """Of two samples a problem of one teacher out of six, one is not asked for any more."""
    splits = pq.read_table(project.folder / "data/smoke/seed2/02_intermediate/problems.parquet")["split"].to_pylist()
    n = splits.count("train")
    fewer = ("traces", "clean", "--env=smoke", "--params=seed=2,generation.teachers.peasant.samples=1")
    said = project.kedro(*fewer)
    assert f"peasant: {n} rows" in said
    assert f"{n} of {12 * n} rows are not asked for" in said
    assert "nothing was dropped" in said
    assert f"dropped {n} rows, kept {11 * n}" in project.kedro(*fewer, "--delete")
    assert f"all {11 * n} rows are asked for" in project.kedro(*fewer)


def test_forced_nodes_run_and_accepted_ones_do_not(project):
    said = project.run("--pipelines=trace_generation", "--force=cluster_strategies")
    assert "run   cluster_strategies: forced" in said
    assert "1 nodes ran" in said  # it made the same as before, which cuts off the rest
    changed = ("--env=smoke", "--pipelines=trace_generation", "--params=strategies.options.threshold=0.56")
    assert "run   cluster_strategies: parameter strategies.options" in project.kedro("plan", *changed)
    assert "accepted cluster_strategies as it is" in project.kedro("accept", *changed)
    assert "nothing to run" in project.kedro("plan", *changed)
    assert "nothing to run" not in project.kedro("plan", "--env=smoke", "--pipelines=trace_generation")
    project.kedro("accept", "--env=smoke", "--pipelines=trace_generation")


def test_a_slice_runs_as_chosen_and_warns_of_what_is_stale_above(project):
    said = project.run("--nodes=build_trace_sets", "--params=strategies.options.threshold=0.56")
    assert "run   build_trace_sets: forced" in said
    assert "cluster_strategies, whose output these nodes read, is stale: parameter strategies.options" in said


def test_an_unknown_node_to_force_is_named(project):
    said = project.run("--force=no_such_node", fails=True)
    assert "no node of this run is called no_such_node" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--params=sseed=1"], "Error: parameter sseed does not exist, did you mean seed?"),
        (["--nodes=ssft.trian"], "Error: Pipeline does not contain nodes named ['ssft.trian']."),
        (["--tags=trian"], "Error: Pipeline contains no nodes after applying all provided filters."),
        (["--env=nope"], "expected an environment, the name of a folder of conf/"),
        (["--params=supervised.max_steps=0"], "Error: parameter supervised.max_steps is 0"),
        (["--params=tags.n=3"], "Error: parameters: tags.n is 3"),
        (
            ["--params=generation.teachers.peasant.engine=vlm"],
            "Error: parameter generation.teachers.peasant: engine 'vlm' is unknown",
        ),
        (
            ["--params=generation.teachers.peasant.options.strategy=guess"],
            "Error: parameter generation.teachers.peasant.options of engine 'procedural': strategy 'guess' is unknown",
        ),
        (["--params=strategies.clusterer=word"], "Error: parameter strategies.clusterer: clusterer 'word' is unknown"),
    ],
)
def test_wrong_parameters_stop_the_run_with_one_line(project, arguments, message):
    said = project.run(*arguments, fails=True)
    assert message in said
    assert "Traceback" not in said


def test_a_bad_file_of_problems_stops_the_run_with_one_line(project):
    (project.folder / "problems.jsonl").write_text(
        '{"problem": "1 + 1", "answer": "2"}\n{"problem": "1 + 2", "answer": 3.5}\n'
    )
    other = project.folder / "conf" / "environment_of_this_test"
    other.mkdir()
    (other / "catalog.yml").write_text(
        "raw_problems:\n  type: forkpipe.datasets.records.RecordsDataset\n  filepath: problems.jsonl\n"
    )
    (other / "parameters.yml").write_text("problems: {source: mine, fields: {source_id: null}}\n")
    said = project.kedro("run", "--env=environment_of_this_test", "--pipelines=problems", fails=True)
    assert "problems.jsonl row 2: field 'answer' is float, expected text" in said
    assert "Traceback" not in said


def test_a_model_of_the_user_is_not_replaced(project):
    """An entry of the catalog at a plain Hugging Face folder: the plan and the run stop and say what to do."""
    mine = project.folder / "mine"
    shutil.copytree(project.folder / "conf/smoke", project.folder / "conf/own_model")
    shutil.copytree(project.data / "06_models/ssft/checkpoint", mine, ignore=shutil.ignore_patterns("forking.json"))
    entry = "forkpipe.datasets.checkpoint.CheckpointDataset, filepath: mine"
    with (project.folder / "conf/own_model/catalog.yml").open("a") as catalog:
        catalog.write(f'\n"ssft.checkpoint": {{type: {entry}}}\n')
    before = {path: path.read_bytes() for path in mine.rglob("*") if path.is_file()}
    for command in ("plan", "run"):
        said = project.kedro(command, "--env=own_model", "--pipelines=train_ssft", fails=True)
        assert f"Error: {mine} was not made by this project (it has no record), and ssft.train would replace it" in said
    assert {path: path.read_bytes() for path in mine.rglob("*") if path.is_file()} == before
    assert not (project.folder / "data/own_model").exists()  # nothing ran


def test_intervals_and_curves_sample_no_model_again(project):
    said = project.run("--pipelines=evaluation", "--params=evaluation.bootstrap=150,evaluation.pass_at=[1]")
    assert "run   compute_metrics: parameter evaluation.pass_at" in said
    assert ".generate" not in said
