"""The project as a whole: what is registered, what the catalog names, what is imported when."""

import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pyarrow as pa
import pytest

from forkpipe.config import ProjectConfigLoader
from forkpipe.parameters.methods import METHODS
from forkpipe.pipeline_registry import register_pipelines
from forkpipe.settings import CONFIG_LOADER_ARGS

ROOT = Path(__file__).parents[1]
REGISTERED = [
    "problems",
    "trace_generation",
    "train_sft",
    "train_ssft_random",
    "train_ssft_fixed",
    "train_ssft",
    "train_grpo",
    "train_gfpo",
    "train_fork_rl",
    "benchmarks",
    "evaluation",
    "report",
    "__default__",
]
ENTRIES = [
    "raw_problems",
    "evaluation_sets",
    "problems",
    "benchmark_problems",
    "{method}.benchmark_completions",
    "{method}.benchmark_generations",
    "{method}.benchmark_scores",
    "benchmark_metrics",
    "benchmark_differences",
    "overlaps",
    "decontamination",
    "traces",
    "verdicts",
    "strategies",
    "trace_sets",
    "rejected",
    "{method}.checkpoint",
    "{method}.training_log",
    "{method}.matching",
    "{method}.rewards",
    "{method}.rollout_store",
    "{method}.completions",
    "{method}.generations",
    "{method}.scores",
    "metrics",
    "comparison",
    "report",
]


def catalog(env=None, **runtime):
    return ProjectConfigLoader(ROOT / "conf", env=env, runtime_params=runtime, **CONFIG_LOADER_ARGS)["catalog"]


def test_registered_pipelines():
    assert sorted(register_pipelines()) == sorted(REGISTERED)


def test_the_catalog_names_every_public_entry():
    assert set(ENTRIES) <= set(catalog())


def test_every_dataset_of_the_pipelines_is_in_the_catalog():
    from kedro.io import DataCatalog

    known = DataCatalog.from_config({name: value for name, value in catalog().items() if name[0] != "_"})
    made = register_pipelines()
    datasets = (made["__default__"] + made["benchmarks"]).datasets()
    assert [name for name in datasets if not name.startswith("param") and name not in known] == []


def test_kedro_can_read_the_types_of_every_node():
    """A type that is imported for type checkers only makes Kedro warn at every command."""
    for node in register_pipelines()["__default__"].nodes:
        assert get_type_hints(node.func), node.name


def test_every_pipeline_reaches_down_to_the_raw_problems():
    for name, pipeline in register_pipelines().items():
        made = ("work", "rollout_store", "completions")  # kept by the nodes themselves
        inputs = {one for one in pipeline.inputs() if not one.startswith("params:") and not one.endswith(made)}
        assert inputs <= {"raw_problems", "evaluation_sets", "trace_store"}, name


@pytest.mark.parametrize("method", METHODS)
def test_a_method_has_a_pipeline_whose_own_nodes_are_in_its_box(method):
    own = [node for node in register_pipelines()[f"train_{method}"].nodes if f"train_{method}" in node.tags]
    assert own
    assert {node.namespace for node in own} == {f"training.{method}"}
    assert {node.name for node in own} == {f"{method}.train"}


def test_paths_hold_environment_and_seed():
    written = {
        name: str(entry["filepath"]) for name, entry in catalog().items() if name[0] != "_" and "filepath" in entry
    }
    assert written
    assert all(path.startswith("data/base/seed0/") for path in written.values())
    for env, runtime, folder in (("tight", {}, "data/tight/seed0/"), (None, {"seed": 3}, "data/base/seed3/")):
        other = catalog(env, **runtime)
        assert all(str(other[name]["filepath"]).startswith(folder) for name in written)


def imported(code):
    """Return the names of the modules that are loaded after running code in a fresh interpreter."""
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    )


def test_the_registry_imports_no_torch_and_no_pandas():
    loaded = imported("from forkpipe.pipeline_registry import register_pipelines; register_pipelines()")
    assert not {"torch", "transformers", "trl", "pandas", "plotly", "sklearn", "sympy"} & loaded


def test_core_imports_no_framework():
    modules = [f"forkpipe.core.{path.stem}" for path in (ROOT / "src/forkpipe/core").glob("*.py")]
    loaded = imported("\n".join(f"import {module}" for module in modules if "__init__" not in module))
    assert not {"kedro", "transformers", "trl", "vllm", "ray", "datasets", "accelerate"} & loaded


def test_the_catalog_page_names_every_column_type_and_version():
    from forkpipe.core.schemas import SCHEMAS, schema_version

    sections = (ROOT / "docs/guide/catalog.md").read_text().split("\n## ")[1:]
    by_name = {section.split("`")[1].rsplit(".", 1)[-1]: section for section in sections}
    for name, schema in SCHEMAS.items():
        assert f"Version {schema_version(name)}." in by_name[name]
        lines = [line for line in by_name[name].splitlines() if line.startswith(("| `", "| *`"))]
        cells = [[cell.strip() for cell in line.split("|")] for line in lines]
        documented = {column.strip("*`"): (kind, column[0] == "*") for _, column, kind, *_ in cells}
        documented.setdefault("run_id", ("string", False))
        assert documented == {field.name: (shown(field.type), field.nullable) for field in schema}


def shown(kind):
    """Return how the catalog page writes an Arrow type."""
    if not pa.types.is_list(kind):
        return str(kind)
    return f"list of {'struct' if pa.types.is_struct(kind.value_type) else kind.value_type}"


@pytest.mark.parametrize(
    "arguments", [["run", "--pipelines=nosuch"], ["plan", "--env=nosuch"], ["traces", "clean", "--env=nosuch"]]
)
def test_a_name_that_does_not_exist_is_said_in_one_line(arguments):
    done = subprocess.run(
        [sys.executable, "-m", "kedro", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "nosuch" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
