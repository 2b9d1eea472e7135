"""The first hour of a user: install the wheel, make a project, run it, build its lineage.

The wheel is built from a copy of the sources and installed into an environment of its own, which borrows all other
packages from the environment of the tests: nothing is downloaded, and this checkout is not on its path.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SMOKE = ("--env=smoke", "--pipeline=trace_generation")


def run(*command, cwd, fails=False):
    """Run a command without this checkout on its path; return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"KEDRO_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    result = subprocess.run(map(str, command), cwd=cwd, env=environment, capture_output=True, text=True)
    printed = result.stdout + result.stderr
    assert (result.returncode != 0) == fails, printed
    return printed


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", sources / "src", symlinks=True, ignore=unwanted)
    shutil.copytree(ROOT / "conf", sources / "conf")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    (sources / "conf" / "local" / "credentials.yml").write_text("key: secret\n")
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--quiet")
    run(sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", folder, sources, cwd=folder)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of an environment with the wheel."""
    environment = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=environment)
    interpreter = environment / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", interpreter)
    run(*pip, "install", "--no-deps", "--no-index", "--quiet", wheel, cwd=environment)
    # Only now: with the other packages in sight, pip would find this checkout's forkpipe installed.
    (packages,) = environment.glob("lib/python*/site-packages")
    others = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (packages / "others.pth").write_text("\n".join(others))
    place = run(interpreter, "-c", "import forkpipe; print(forkpipe.__file__)", cwd=environment)
    assert Path(place.strip()).parent == packages / "forkpipe"
    return interpreter


@pytest.fixture(scope="module")
def project(python, tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    run(python.parent / "forkpipe", "new", "my_project", cwd=folder)
    return folder / "my_project"


def test_the_wheel_holds_every_file_of_the_packages_and_the_configuration_but_no_credentials(wheel):
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    sources = {file.relative_to(ROOT / "src") for file in (ROOT / "src").rglob("*.*") if file.is_file()}
    files = {file.as_posix() for file in sources if not {"__pycache__", "conf"} & set(file.parts)}
    files = {file for file in files if ".egg-info/" not in file}
    configuration = {file.relative_to(ROOT) for file in (ROOT / "conf").rglob("*.yml")}
    assert packed == files | {f"forkpipe/{file}" for file in configuration if file.parts[1] != "local"}


def test_the_project_runs_and_its_records_count_the_installed_code(python, project):
    run(python, "-m", "kedro", "run", *SMOKE, cwd=project)
    (record,) = project.glob("data/smoke/seed0/05_model_input/trace_sets.parquet.provenance.json")
    code = json.loads(record.read_text())["recipe"]["code"]
    assert any(name.startswith("forkpipe.generation.selection:") for name in code), sorted(code)
    assert "nothing" in run(python, "-m", "kedro", "plan", *SMOKE, cwd=project)

    selection = next(python.parents[1].glob("lib/python*/site-packages/forkpipe/generation/selection.py"))
    text = selection.read_text()
    try:
        selection.write_text(re.sub(r"^(def \w+\([^)]*\)[^:]*:\n)", r"\1    1 + 1\n", text, flags=re.MULTILINE))
        assert "code of forkpipe.generation.selection changed" in run(
            python, "-m", "kedro", "plan", *SMOKE, cwd=project
        )
    finally:
        selection.write_text(text)


def test_a_node_of_the_project_s_own_package_counts(python, project):
    package = project / "src" / "my_project"
    (package / "nodes.py").write_text("def count(table):\n    return [table.num_rows]\n")
    (package / "pipeline_registry.py").write_text(
        "from forkpipe import pipeline_registry\n"
        "from kedro.pipeline import node, pipeline\n"
        "from my_project.nodes import count\n\n\n"
        "def register_pipelines():\n"
        "    theirs = pipeline_registry.register_pipelines()\n"
        "    own = pipeline([node(count, 'trace_sets', 'set_count', name='count_sets')])\n"
        "    return theirs | {'count': theirs['trace_generation'] + own}\n"
    )
    catalog = project / "conf" / "smoke" / "catalog.yml"
    catalog.write_text(
        catalog.read_text() + "\nset_count: {type: json.JSONDataset, filepath: data/smoke/set_count.json}\n"
    )
    run(python, "-m", "kedro", "run", "--env=smoke", "--pipeline=count", cwd=project)
    assert json.loads((project / "data" / "smoke" / "set_count.json").read_text())[0] > 0
    (package / "nodes.py").write_text("def count(table):\n    return [table.num_rows, 0]\n")
    printed = run(python, "-m", "kedro", "plan", "--env=smoke", "--pipeline=count", cwd=project)
    assert "count_sets: code of my_project.nodes changed" in printed


def test_the_project_s_lineage_is_built(python, project):
    pytest.importorskip("kedro_viz")
    run(python, "-m", "kedro", "viz", "build", cwd=project)
    graph = json.loads((project / "build" / "api" / "main").read_text())
    assert {"trace_sets", "comparison"} <= {node["name"].lower().replace(" ", "_") for node in graph["nodes"]}


def test_a_place_that_is_taken_is_refused(python, project):
    forkpipe = python.parent / "forkpipe"
    expected = "Error: my_project exists, expected a new or empty folder"
    assert run(forkpipe, "new", "my_project", cwd=project.parent, fails=True).strip() == expected
    assert "expected another name" in run(forkpipe, "new", "pandas", cwd=project.parent, fails=True)
    assert "expected a letter first" in run(forkpipe, "new", "7b", cwd=project.parent, fails=True)
    assert sorted(file.name for file in project.parent.iterdir()) == ["my_project"]
