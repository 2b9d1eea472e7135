"""The environment `pretrained` from problems to the report, with a tiny model in place of a pretrained one."""

import pyarrow.parquet as pq
import pytest

from forkpipe.demo.dataset import LinearEquationsDataset
from model_families import FAMILIES, model_of, tokenizer_of
from test_end_to_end import Project

QUICK = (
    "seeds=null,supervised.max_steps=4,supervised.warmup_steps=1,supervised.lora.rank=4,rollouts.steps=2,"
    "rollouts.problems_per_step=2,rollouts.sampling.max_tokens=6,evaluation.samples_per_tag=1,evaluation.limit=6,"
    "evaluation.sampling.max_tokens=6,problems.limit=40"
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("pretrained"))
    family = FAMILIES["qwen3"]
    tokenizer = tokenizer_of(family, [row["problem"] for row in LinearEquationsDataset(count=50).load()])
    tokenizer.save_pretrained(project.folder / "model")
    model_of(family, tokenizer).save_pretrained(project.folder / "model")
    project.data = project.folder / "data" / "pretrained" / "seed0"
    return project


def test_every_method_is_compared_with_the_untrained_model(project):
    printed = project.kedro("run", "--env=pretrained", f"--params=inputs.model=model,{QUICK}")
    methods = ["base", "sft", "ssft_random", "ssft", "gfpo"]
    rows = project.table("08_reporting/comparison.parquet")
    assert list(dict.fromkeys(row["method"] for row in rows)) == methods
    assert "Report: " in printed
    sets = project.table("05_model_input/trace_sets.parquet")
    assert {trace["teacher"] for row in sets for trace in row["traces"]} == {
        "isolate", "bisect", "quotients", "false_position"
    }  # fmt: skip
    matchings = pq.read_table(next((project.data / "06_models/ssft").rglob("matching*.parquet"))).to_pylist()
    assert {row["tag"] for row in matchings} <= set(range(4))
