"""Seeds are a parameter: what a run with several trains, what it leaves alone, and what it says of them."""

import pyarrow.parquet as pq
import pytest

from forkpipe.core.errors import InputError
from forkpipe.parameters.comparison import comparison_of, of_seed, without_seed
from forkpipe.pipeline_registry import register_pipelines
from forkpipe.wiring import wired_for
from kedro_provenance.options import Options, asking
from test_methods import Project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("project"))


def nodes_of(**raw):
    with wired_for(comparison_of(raw)):
        return {node.name: node for node in register_pipelines()["__default__"].nodes}


def trained(capture):
    """Return the nodes that a run has started, from its log."""
    return {record.args[0] for record in capture.records if record.msg.startswith("running ")}


@pytest.mark.parametrize("name", ["ssft.train", "make_base_checkpoint", "base.checkpoint"])
def test_names_of_seeds_can_be_read_back(name):
    assert without_seed(of_seed(name, 12)) == (name, 12)
    assert without_seed(of_seed(name, None)) == (name, None)


def test_the_seed_of_the_run_has_no_seed_in_its_names():
    for seeds in ([0, 3], [3, 0]):
        names = nodes_of(methods=["gfpo"], seeds=seeds, seed=0).keys()
        trainings = {name for name in names if name.endswith(".train")}
        assert trainings == {"ssft.train", "gfpo.train", "ssft-seed3.train", "gfpo-seed3.train"}
    assert {name for name in nodes_of(methods=["sft"], seeds=[1, 2], seed=2) if name.endswith(".train")} == {
        "sft.train",
        "sft-seed1.train",
    }


def test_a_further_seed_has_all_but_the_trace_sets_for_itself():
    nodes = nodes_of(methods=["gfpo"], seeds=[0, 3])
    made = {output for name, node in nodes.items() if "-seed3" in name for output in node.outputs}
    read = {given for name, node in nodes.items() if "-seed3" in name for given in node.inputs}
    stores = {store for name, node in nodes.items() if "-seed3" in name for store in node.stores}
    assert {given for given in read - made if not given.startswith("params:")} == {"problems", "trace_sets"}
    assert "params:seed" not in read
    assert all("-seed3." in name for name in made | stores)
    assert nodes["ssft-seed3.train"].func.keywords == {"seed": 3}
    assert nodes["ssft-seed3.train"].tags == nodes["ssft.train"].tags
    assert nodes["ssft-seed3.train"].namespace == nodes["ssft.train"].namespace


def test_a_pretrained_model_is_copied_once_for_all_seeds():
    nodes = nodes_of(methods=["ssft"], seeds=[0, 3], model={"source": "someone/model"})
    assert [name for name in nodes if name.startswith("make_base")] == ["make_base_checkpoint"]
    assert "base_model" in nodes["ssft-seed3.train"].inputs
    assert "base_model" in nodes["base-seed3.generate"].inputs


@pytest.mark.parametrize(
    ("seeds", "message"),
    [([], "seeds is \\[\\]"), ([1, 1], "expected each seed once"), ([-1], "seeds.0 is -1"), (["a"], "seeds.0 is 'a'")],
)
def test_wrong_seeds_are_named(seeds, message):
    with pytest.raises(InputError, match=message):
        comparison_of({"seeds": seeds})


def test_another_seed_trains_that_seed_only(project, caplog, capsys):
    caplog.set_level("INFO", logger="kedro_provenance")
    project.run(methods=["sft", "ssft"])
    before = project.times("06_models/*/checkpoint/**/*") | project.times("07_model_output/*/*.parquet")
    caplog.clear()
    project.run(methods=["sft", "ssft"], seeds=[0, 3])
    ran = trained(caplog)
    assert {name for name in ran if "." in name or name.startswith("make_base")} == {
        "make_base_checkpoint-seed3",
        *(f"{method}-seed3.{stage}" for method in ("sft", "ssft") for stage in ("train", "generate", "score")),
        *(f"base-seed3.{stage}" for stage in ("generate", "score")),
    }
    assert "build_trace_sets" not in ran
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "Means over 2 training seeds" in capsys.readouterr().out
    with asking(Options("plan")):
        project.run(methods=["sft", "ssft"], seeds=[3])
    planned = [line.split()[1].rstrip(":") for line in capsys.readouterr().out.splitlines() if line[:5] == "run  "]
    assert sorted(planned) == ["collect_scores", "collect_training", "measure_tag_information", "pick_sample_texts"]


def test_the_seeds_are_trained_apart(project):
    from forkpipe.models.identity import checkpoint_digest

    folders = [project.data / f"06_models/{name}/checkpoint" for name in ("base", "base-seed3", "sft", "sft-seed3")]
    assert len({checkpoint_digest(folder) for folder in folders}) == 4
    logs = pq.read_table(project.data / "06_models/training_logs.parquet").to_pylist()
    assert {(row["method"], row["training_seed"]) for row in logs} == {
        (method, seed) for method in ("sft", "ssft") for seed in (0, 3)
    }


def test_tables_hold_all_seeds_and_their_mean(project):
    metrics = pq.read_table(project.data / "08_reporting/metrics.parquet").to_pylist()
    place = ("method", "split", "protocol", "policy")
    of = {(*(row[name] for name in place), row["training_seed"]): row for row in metrics}
    assert {key[-1] for key in of} == {None, 0, 3}
    for (*key, seed), row in of.items():
        if seed is None:
            parts = [of[(*key, trained)]["value"] for trained in (0, 3)]
            assert row["value"] == pytest.approx(sum(parts) / 2)
            assert row["n_seeds"] == 2
            assert row["seed_low"] <= row["value"] <= row["seed_high"]
    comparison = pq.read_table(project.data / "08_reporting/comparison.parquet").to_pylist()
    assert len({tuple(row[name] for name in ("method", "protocol", "policy")) for row in comparison}) == len(comparison)
    pairs = {
        row["method"]: row["pairs"] for row in comparison if (row["protocol"], row["policy"]) == ("pass@1", "mixed")
    }
    assert [pair["versus"] for pair in pairs["ssft"]] == ["sft", "base"]
    assert all(pair["won"] + pair["lost"] + pair["tied"] == 2 for pair in pairs["ssft"])
    page = project.report()
    assert "training seeds 0, 3" in page
    assert "of 2</td>" in page


def test_the_plan_has_one_line_for_all_seeds(project, capsys):
    with asking(Options("plan")):
        project.run(methods=["sft"], seeds=[0, 3, 5], supervised={"learning_rate": 1e-3})
    lines = capsys.readouterr().out.splitlines()
    changed = "parameter supervised.learning_rate 0.004 -> 0.001"
    (training,) = [line for line in lines if "sft.train" in line and line.startswith("run ")]
    assert training.startswith(f"run   sft.train (3 seeds): {changed}; sft.checkpoint is not there")
    assert any(line.startswith("maybe sft.generate (2 seeds): if sft.checkpoint changes") for line in lines)
    assert any(line.startswith("run   sft-seed5.generate: ") for line in lines)
    assert any(line.startswith("train sft (3 seeds): ") for line in lines)
