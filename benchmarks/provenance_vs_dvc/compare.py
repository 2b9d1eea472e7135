"""Compare `kedro run` with forkpipe's ProvenanceRunner and `dvc repro` on the same small pipeline.

Makes both projects in a temporary folder, edits both the same way, each time from a full run, and says which functions
ran: each writes its name to a file that neither tool knows of. What is right was written down before: see `EDITS`.
After each edit both are run once more, which must run nothing, and from scratch in a copy, which must give the same.

    python compare.py --dvc PATH_TO_DVC [--only TEXT]

The Python that runs this needs forkpipe (or PYTHONPATH to it), Kedro and kedro-datasets.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import templates
import yaml
from templates import DVC, FUNCTIONS, IMPORTS, KEDRO, MODULES, OUTPUTS, PARAMETERS, STAGES

RAW = "".join(json.dumps({"x": "none" if i % 10 == 9 else (i * 37 % 50) / 25}) + "\n" for i in range(60))
FINAL = ("report", "summary")
REPEATS = 7


class Project(ABC):
    """One tool's project; `restore` puts it back to the state after the first full run.

    Args:
        root: its folder.
        environment: variables for all commands.
    """

    command: list[str]
    definition: str
    parameters: str

    def __init__(self, root: Path, environment: dict[str, str]) -> None:
        self.root = root
        self.log = root.with_name(f"{root.name}.log")
        self.environment = environment | {"RUN_LOG": str(self.log), "PYTHONDONTWRITEBYTECODE": "1"}
        self.python = sys.executable

    def make(self) -> None:
        """Write the project, run all of it, and keep a copy."""
        for name, text in MODULES.items():
            self.write(f"src/tinyproj/{name}", text)
        self.write_own_files()
        self.write("data/raw.jsonl", RAW)
        self.call("git", "init", "-q")
        self.prepare()
        self.run()
        self.commit("older")
        shutil.copytree(self.root, self._base, symlinks=True)

    @abstractmethod
    def write_own_files(self) -> None:
        """Write what only this tool has."""

    @abstractmethod
    def prepare(self) -> None:
        """Do what the tool needs before the first run."""

    @abstractmethod
    def code(self, stage: str) -> Path:
        """Return the file of a stage's code."""

    @abstractmethod
    def forget(self, stage: str | None) -> None:
        """Delete what is known of how a stage's output was made; None: of all."""

    @abstractmethod
    def drop_cache(self) -> None:
        """Delete the tool's cache."""

    @property
    def _base(self) -> Path:
        return self.root.with_name(f"{self.root.name}.base")

    def restore(self) -> None:
        """Go back to the state after the first full run."""
        shutil.rmtree(self.root)
        shutil.copytree(self._base, self.root, symlinks=True)

    def run(self, broken: str = "", root: Path | None = None) -> set[str]:
        """Run the tool and return the functions that started.

        Args:
            broken: "raise STAGE" or "kill STAGE", for a run that fails.
            root: the project's folder, if not its own.
        """
        self.log.write_text("")
        environment = self.environment | ({"BREAK": broken} if broken else {})
        done = subprocess.run(
            self.command, cwd=root or self.root, env=environment, capture_output=True, text=True, check=False
        )
        if (done.returncode != 0) != bool(broken):
            raise RuntimeError(f"{self.command} gave {done.returncode}\n{done.stdout}\n{done.stderr}")
        return set(self.log.read_text().split())

    def seconds(self, command: list[str]) -> float:
        """Return how long a command takes."""
        environment = {name: value for name, value in self.environment.items() if name != "PYTHONDONTWRITEBYTECODE"}
        start = time.perf_counter()
        subprocess.run(command, cwd=self.root, env=environment, capture_output=True, check=True)
        return time.perf_counter() - start

    def truth(self) -> dict[str, object]:
        """Return the outputs of a run from scratch, of a copy."""
        copy = self.root.with_name(f"{self.root.name}.scratch")
        shutil.rmtree(copy, ignore_errors=True)
        leave = shutil.ignore_patterns("*.json", ".provenance", "dvc.lock", "cache", "tmp")
        shutil.copytree(self.root, copy, symlinks=True, ignore=leave)
        if self.run(root=copy) != set(STAGES):
            raise RuntimeError("a run from scratch did not run all")
        return {name: self._read(name, copy) for name in OUTPUTS.values()}

    def outputs(self) -> dict[str, object]:
        """Return the outputs that are there."""
        return {name: self._read(name, self.root) for name in OUTPUTS.values() if self.output(name).exists()}

    def _read(self, name: str, root: Path) -> object:
        try:
            return json.loads((root / "data" / f"{name}.json").read_text())
        except ValueError:
            return "not JSON"

    def output(self, name: str) -> Path:
        """Return the file of an output."""
        return self.root / "data" / f"{name}.json"

    @property
    def raw(self) -> Path:
        """The raw file."""
        return self.root / "data" / "raw.jsonl"

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def call(self, *command: str) -> None:
        """Run a command in the project."""
        subprocess.run(command, cwd=self.root, env=self.environment, check=True, capture_output=True)

    def commit(self, message: str) -> None:
        """Commit all that is not ignored."""
        self.call("git", "add", "-A")
        self.call("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", message)

    def change(self, path: Path | str, old: str, new: str) -> None:
        """Replace a text, which must be there, in a file."""
        path = self.root / path
        text = path.read_text()
        if old not in text:
            raise RuntimeError(f"no {old!r} in {path}")
        path.write_text(text.replace(old, new))

    def set(self, old: str, new: str) -> None:
        """Change the parameters."""
        self.change(self.parameters, old, new)


class Ours(Project):
    """Kedro with ProvenanceRunner."""

    definition = "src/tinyproj/pipeline_registry.py"
    parameters = "conf/base/parameters.yml"

    @property
    def command(self) -> list[str]:  # type: ignore[override]
        """The command that runs what is stale."""
        return [self.python, "-m", "kedro", "run"]

    def write_own_files(self) -> None:
        """Write Kedro's files, and all functions in one module."""
        for name, text in KEDRO.items():
            self.write(name, text.replace("PARAMETERS", PARAMETERS).replace("{kedro}", version("kedro")))
        imports = sorted({*IMPORTS.values(), templates.LOGGED_TRAIN}, key=lambda line: (" tinyproj" in line, line))
        self.write("src/tinyproj/nodes.py", "".join(imports) + "".join(FUNCTIONS.values()))
        self.write(".gitignore", "/data/\n")

    def prepare(self) -> None:
        """Nothing."""

    def code(self, stage: str) -> Path:
        """All are in one file."""
        return self.root / "src/tinyproj/nodes.py"

    def forget(self, stage: str | None) -> None:
        """Delete records."""
        for one in STAGES if stage is None else (stage,):
            self.output(OUTPUTS[one]).with_name(f"{OUTPUTS[one]}.json.provenance.json").unlink()

    def drop_cache(self) -> None:
        """Delete the kept digests."""
        shutil.rmtree(self.root / "data" / ".provenance")


class Dvc(Project):
    """DVC.

    Args:
        dvc: the executable.
    """

    definition = "dvc.yaml"
    parameters = "params.yaml"

    def __init__(self, root: Path, environment: dict[str, str], dvc: str) -> None:
        own = root.with_name("dvc_own")
        environment = environment | {
            "DVC_NO_ANALYTICS": "1",
            "DVC_GLOBAL_CONFIG_DIR": str(own / "global"),
            "DVC_SYSTEM_CONFIG_DIR": str(own / "system"),
            "DVC_SITE_CACHE_DIR": str(own / "site"),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": "src",
        }
        super().__init__(root, environment)
        self.dvc = dvc
        self.command = [dvc, "repro"]

    def write_own_files(self) -> None:
        """Write a file for each stage, as is usual with DVC: its unit is the file."""
        for name, text in DVC.items():
            self.write(name, text.replace("PARAMETERS", PARAMETERS))
        for stage in STAGES:
            logged = templates.LOGGED_TRAIN if stage == "train" else templates.LOGGED
            self.write(f"src/tinyproj/stages/{stage}.py", IMPORTS[stage] + logged + FUNCTIONS[stage])

    def prepare(self) -> None:
        """Initialise."""
        self.call(self.dvc, "init", "-q")
        self.call(self.dvc, "config", "core.analytics", "false")

    def code(self, stage: str) -> Path:
        """Each in its own file."""
        return self.root / f"src/tinyproj/stages/{stage}.py"

    def forget(self, stage: str | None) -> None:
        """Delete dvc.lock or an entry of it."""
        lock = self.root / "dvc.lock"
        if stage is None:
            lock.unlink()
            return
        entries = yaml.safe_load(lock.read_text())
        del entries["stages"][stage]
        lock.write_text(yaml.safe_dump(entries, sort_keys=False))

    def drop_cache(self) -> None:
        """Delete all stored outputs, and the run cache."""
        shutil.rmtree(self.root / ".dvc" / "cache")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _replace_unseen(project: Project) -> None:
    """Put another file of the same size and time in the place of one, as `mv` after `touch -r` does."""
    project.run()  # so that both tools have seen the file where it is now
    path = project.raw
    other, before = path.with_suffix(".new"), path.stat()
    other.write_text(path.read_text().replace("1.48", "1.49"))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def _twice(project: Project, old: str, new: str) -> None:
    project.set(old, new)
    project.run()
    project.set(new, old)


def _fail(project: Project, how: str) -> None:
    project.set("lr: 0.01", "lr: 0.02")
    project.run(broken=f"{how} train")


def _break_code(project: Project) -> None:
    project.change(project.code("train"), "range(50)", "range(50 // 0)")
    try:
        project.run(broken="by its code")
    finally:
        project.change(project.code("train"), "range(50 // 0)", "range(50)")


def _checkout(project: Project, run: bool) -> None:
    project.change(project.code("train"), "range(50)", "range(60)")
    project.run()
    project.commit("newer")
    project.call("git", "checkout", "-q", "HEAD~1")
    if run:
        project.run()
    project.call("git", "checkout", "-q", "-")


def _swap(project: Project) -> None:
    for old, new in (("low", "LOW"), ("high", "low"), ("LOW", "high")):
        mark = "@" if isinstance(project, Dvc) else "params:"
        project.change(project.definition, f"{mark}{old}", f"{mark}{new}")


def _helper(project: Project) -> None:
    project.change("src/tinyproj/helpers.py", "sum(values) / len(values)", "sum(values) / (len(values) + 1)")


def _import_dotted(project: Project) -> None:
    shaping = "src/tinyproj/shaping.py"
    project.change(shaping, "helpers.", "tinyproj.helpers.")
    project.change(shaping, "from tinyproj import helpers", "import tinyproj.helpers")
    project.run()
    _helper(project)


def _forget_to_list(project: Project) -> None:
    if isinstance(project, Dvc):
        project.change(project.definition, ", src/tinyproj/helpers.py", "")
        project.run()
    _helper(project)


def _delete_and_change(project: Project) -> None:
    project.output("pairs").unlink()
    project.set("lr: 0.01", "lr: 0.02")


def _rename_local(project: Project) -> None:
    project.change(project.code("features"), 'windows([row["x"] for row', 'windows([one["x"] for one')


@dataclass(frozen=True)
class Edit:
    """What is done before the run that counts, and the least that must run then.

    The least: what a tool has to run that sees all of the project as it is now, and keeps no copies of outputs that
    were overwritten or deleted. Letters are the first letters of the stages.
    """

    name: str
    least: str
    do: Callable[[Project], object]


TRAIN = '"""Fit a line by gradient descent."""'
EDITS = (
    Edit("no edit", "", lambda p: None),
    Edit("comment in the code of train", "", lambda p: p.change(p.code("train"), TRAIN, f"{TRAIN}\n    # A comment.")),
    Edit("docstring of train", "", lambda p: p.change(p.code("train"), TRAIN, '"""Fit."""')),
    Edit("white space in train", "", lambda p: p.change(p.code("train"), "slope -= ", "slope  -=  ")),
    Edit("local variable renamed in features", "f", _rename_local),
    Edit("code of train", "ter", lambda p: p.change(p.code("train"), "range(50)", "range(60)")),
    Edit("helper two imports away, used by features", "fter", _helper),
    Edit(
        "function of the same helper module that nobody uses",
        "",
        lambda p: p.change("src/tinyproj/helpers.py", "value + 1", "value + 2"),
    ),
    Edit("the same helper, imported as `import tinyproj.helpers`", "fter", _import_dotted),
    Edit("the same helper, and the DVC user forgot to list it", "fter", _forget_to_list),
    Edit(
        "function that evaluate reaches by `importlib.import_module`",
        "er",
        lambda p: p.change("src/tinyproj/losses.py", "** 2", "** 4"),
    ),
    Edit("two parameters of evaluate swapped in the pipeline", "er", _swap),
    Edit("parameter lr", "ter", lambda p: p.set("lr: 0.01", "lr: 0.02")),
    Edit("parameter that no stage uses", "", lambda p: p.set("unused: 1", "unused: 2")),
    Edit("worker count, declared irrelevant", "", lambda p: p.set("workers: 2", "workers: 8")),
    Edit("lr changed and back, no run between", "", lambda p: (p.set(": 0.01", ": 0.02"), p.set(": 0.02", ": 0.01"))),
    Edit("lr changed, run, and back", "ter", lambda p: _twice(p, "lr: 0.01", "lr: 0.02")),
    Edit("raw file touched", "", lambda p: p.raw.touch()),
    Edit("raw file: a row that clean drops", "c", lambda p: p.raw.write_text(RAW + '{"x": "new"}\n')),
    Edit("raw file: a row more", "cfters", lambda p: p.raw.write_text(RAW + '{"x": 9.5}\n')),
    Edit("raw file replaced, same size and time", "cfters", _replace_unseen),
    Edit("output of features deleted", "", lambda p: p.output("pairs").unlink()),
    Edit("output of features deleted, and lr changed", "fter", _delete_and_change),
    Edit("final output deleted", "r", lambda p: p.output("report").unlink()),
    Edit("output of train edited by hand", "t", lambda p: p.output("model").write_text('{"slope": 7}')),
    Edit("output of features truncated", "f", lambda p: _truncate(p.output("pairs"))),
    Edit("final output truncated", "r", lambda p: _truncate(p.output("report"))),
    Edit("record, lock entry of features deleted", "f", lambda p: p.forget("features")),
    Edit("all records, dvc.lock deleted", "cfters", lambda p: p.forget(None)),
    Edit("cache deleted", "", lambda p: p.drop_cache()),
    Edit("lr changed, train fails midway, run again", "ter", lambda p: _fail(p, "raise")),
    Edit("lr changed, train is killed midway, run again", "ter", lambda p: _fail(p, "kill")),
    Edit("code of train broken, run, put back", "", _break_code),
    Edit("git: older code and back, no run between", "", lambda p: _checkout(p, False)),
    Edit("git: older code, run, and back", "ter", lambda p: _checkout(p, True)),
)


def judge(project: Project, edit: Edit) -> tuple[str, str]:
    """Return the letters of what ran after an edit, and what is to be said of it."""
    project.restore()
    edit.do(project)
    ran = {stage[0] for stage in project.run()}
    found, truth = project.outputs(), project.truth()
    wrong = [name for name in truth if name in found and found[name] != truth[name]]
    again = project.run()
    wrong += [name for name in FINAL if name not in found]
    least = set(edit.least)
    said = [f"{len(ran - least)} too many"] if ran - least else []
    if wrong:
        said.append(f"**too few: wrong {', '.join(wrong)}**")
    elif least - ran:
        said.append("right, restored")
    gone = [name for name in truth if name not in found and name not in FINAL]
    if again:
        said.append(f"runs {', '.join(again)} again")
    if gone:
        said.append(f"{', '.join(gone)} stays away")
    return "".join(stage[0] for stage in STAGES if stage[0] in ran) or "-", "; ".join(said) or "right"


def main() -> None:
    """Make both projects, do all edits, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dvc", required=True, help="the executable")
    parser.add_argument("--only", default="", help="only edits whose name has this text; no times")
    arguments = parser.parse_args()
    environment = os.environ | {"KEDRO_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
    dvc = str(Path(arguments.dvc).absolute())
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(Path(folder).resolve() / "ours", environment)
        theirs = Dvc(Path(folder).resolve() / "theirs", environment, dvc)
        for project in (ours, theirs):
            project.make()
        shown = subprocess.run([dvc, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        print(f"Python {sys.version.split()[0]}, Kedro {version('kedro')}, DVC {shown}\n", flush=True)
        print("| edit | least | ours ran | | DVC ran | |\n|---|---|---|---|---|---|")
        for edit in EDITS:
            if arguments.only in edit.name:
                cells = [cell for project in (ours, theirs) for cell in judge(project, edit)]
                print("| " + " | ".join([edit.name, edit.least or "-", *cells]) + " |", flush=True)
        if not arguments.only:
            times(ours, theirs)


def times(ours: Ours, theirs: Dvc) -> None:
    """Print how long a run takes that has nothing to do, and how long each tool takes to say its version."""
    commands: list[tuple[str, Project, list[str]]] = [
        ("ours, nothing to run", ours, ours.command),
        ("DVC, nothing to run", theirs, theirs.command),
        ("`kedro --version`", ours, [*ours.command[:-1], "--version"]),
        ("`dvc --version`", theirs, [theirs.dvc, "--version"]),
    ]
    for project in (ours, theirs):
        project.restore()
    taken: dict[str, list[float]] = {name: [] for name, _, _ in commands}
    for repeat in range(REPEATS + 1):
        for name, project, command in commands:
            seconds = project.seconds(command)
            if repeat:  # the first one warms up
                taken[name].append(seconds)
    print(f"\n| {REPEATS} times each, alternating | median s | least | most |\n|---|---|---|---|")
    for name, values in taken.items():
        print(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")


if __name__ == "__main__":
    main()
