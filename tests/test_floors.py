"""The floors of the house: which package may import which, how long files may be, and where frameworks are allowed.

Imports are read from the syntax tree, so those within functions and under TYPE_CHECKING count too.
"""

import ast
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

SRC = Path(__file__).parents[1] / "src"
ROOF = "roof"
"""The modules of forkpipe itself (session, hooks, config, cli, api, ...) and `commands`: they may import everything."""
PROVENANCE = "kedro_provenance"

ALLOWED = {
    "core": [],
    "parameters": ["core"],
    "parallel": ["core", "parameters"],
    "stores": ["core"],
    "demo": ["core"],
    "models": ["core", "parameters"],
    "engines": ["core", "parameters", "models"],
    "strategies": ["core", "parameters", "stores", "parallel"],
    "sandbox": ["core"],
    "verification": ["core", "parameters", "stores", "parallel", "engines", "sandbox"],
    "problems": ["core", "parameters", "verification"],
    "generation": ["core", "parameters", "stores", "parallel", "models", "engines", "strategies", "verification"],
    "training": ["core", "parameters", "stores", "models", "engines", "verification"],
    "evaluation": ["core", "parameters", "stores", "models", "engines", "verification"],
    "report": ["core", "parameters", "evaluation", "generation", "strategies"],
    "datasets": ["core", "parameters", "stores", "models", "problems", "verification"],
    "pipelines": [
        *("core", "parameters", "stores", "models", "engines", "strategies", "verification"),
        *("problems", "generation", "training", "evaluation", "report", PROVENANCE),
    ],
    PROVENANCE: [],
}
"""Package -> the packages that it may import. The roof is not named: it may import all of them, and none imports it."""

FRAMEWORKS = {
    "kedro": {"datasets", "demo", "pipelines", PROVENANCE, ROOF},
    "kedro_datasets": {"datasets", "demo"},
    "transformers": {"models", "training"},
    "trl": {"training"},
    "vllm": {"engines"},
    "ray": {"engines", "sandbox", "parallel", "training"},
}
"""Framework -> the packages that may import it."""

MOST_LINES = 300
MOST_LINES_OF_PIPELINES = 1000


class Import(NamedTuple):
    """An import statement: its place ("file:line"), the package it stands in, and the package or framework it names."""

    place: str
    package: str
    target: str


def package_of(module, src):
    """Return the package of a dotted module name, "roof" for what lies in forkpipe itself, None for other people's."""
    top, *rest = module.split(".")
    if top != "forkpipe":
        return top if top == PROVENANCE or top in FRAMEWORKS else None
    return rest[0] if rest and rest[0] != "commands" and (src / top / rest[0]).is_dir() else ROOF


def imports(src):
    """Yield the imports of the source tree that name one of our packages or a framework."""
    for path in sorted(src.rglob("*.py")):
        parts = path.relative_to(src).with_suffix("").parts
        package = package_of(".".join(parts), src)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = parts[: len(parts) - node.level] if node.level else ()
                modules = [".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names]
            else:
                continue
            for target in dict.fromkeys(package_of(module, src) for module in modules):
                if target is not None and target != package:
                    yield Import(f"{path.relative_to(src)}:{node.lineno}", package, target)


def forbidden(src):
    """Return the imports that run against the floors, as "place: package imports target"."""
    return [
        f"{place}: {package} imports {target}"
        for place, package, target in imports(src)
        if not (
            package in FRAMEWORKS[target]
            if target in FRAMEWORKS
            else package == ROOF or target in ALLOWED.get(package, [])
        )
    ]


def test_imports_run_one_way():
    assert forbidden(SRC) == []


def test_every_package_has_a_floor_and_the_floors_have_no_circle():
    packages = {path.parent.name for path in SRC.glob("forkpipe/*/__init__.py")} - {"commands"}
    assert packages | {PROVENANCE} == ALLOWED.keys()
    assert set(TopologicalSorter(ALLOWED).static_order()) == ALLOWED.keys()


def test_no_more_is_allowed_than_is_used():
    used = {(package, target) for _, package, target in imports(SRC)}
    assert [
        (package, target) for package in ALLOWED for target in ALLOWED[package] if (package, target) not in used
    ] == []
    assert [(room, name) for name in FRAMEWORKS for room in FRAMEWORKS[name] if (room, name) not in used] == []


@pytest.mark.parametrize(
    ("path", "text", "target"),
    [
        ("forkpipe/core/new.py", "import forkpipe.training.gfpo", "training"),
        ("forkpipe/core/new.py", "from forkpipe import engines", "engines"),
        ("forkpipe/core/new.py", "from ..engines import vllm", "engines"),
        ("forkpipe/core/new.py", "def f():\n    from forkpipe.models.router import Router", "models"),
        ("forkpipe/core/new.py", "if TYPE_CHECKING:\n    from forkpipe.parameters import Parameters", "parameters"),
        ("forkpipe/core/new.py", "class A:\n    def f(self):\n        import vllm.entrypoints", "vllm"),
        ("forkpipe/core/new.py", "import kedro", "kedro"),
        ("forkpipe/engines/new.py", "from forkpipe.api import verify", ROOF),
        ("forkpipe/training/new.py", "from kedro.io import DataCatalog", "kedro"),
        ("forkpipe/training/new.py", "from kedro_provenance.recipes import Declared", PROVENANCE),
        ("kedro_provenance/new.py", "from forkpipe.core.errors import InputError", "core"),
        ("kedro_provenance/new.py", "def f():\n    import forkpipe", ROOF),
    ],
)
def test_one_import_against_the_floors_is_seen(tmp_path, path, text, target):
    for package in ("core", "training", "engines", "models", "parameters"):
        (tmp_path / "forkpipe" / package).mkdir(parents=True)
    (tmp_path / "kedro_provenance").mkdir()
    (tmp_path / "forkpipe/training/fine.py").write_text("from forkpipe.core import ids\nimport torch\nimport trl\n")
    assert forbidden(tmp_path) == []
    (tmp_path / path).write_text(text)
    package = path.split("/")[-2]
    assert forbidden(tmp_path) == [f"{path}:{len(text.splitlines())}: {package} imports {target}"]


def test_a_long_file_says_why_it_is_one_file():
    """A file over 300 lines has the words "one file" in its docstring, with the reason."""
    for path in SRC.rglob("*.py"):
        text = path.read_text()
        if text.count("\n") > MOST_LINES:
            assert "one file" in (ast.get_docstring(ast.parse(text)) or ""), f"{path.name}: {text.count(chr(10))} lines"


def test_pipelines_wire_and_no_more():
    lines = sum(path.read_text().count("\n") for path in (SRC / "forkpipe/pipelines").rglob("*.py"))
    assert lines < MOST_LINES_OF_PIPELINES
