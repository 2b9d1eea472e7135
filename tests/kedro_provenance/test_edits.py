"""What runs after which edit: a table over a small project on disk, from a state in which all is fresh.

raw -> clean -> features -> train -> evaluate -> report, and clean -> stats. `clean` drops blank lines; `features` uses
a helper two imports away; `train` uses the engine that a parameter names. `report` and `stats`, a generator, are asked
for.
"""

import importlib
import json
import os
import sys
import textwrap
import time
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from kedro.framework.hooks.manager import _NullPluginManager
from kedro.io import AbstractDataset, DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner.task import Task

from kedro_provenance.content import Contents
from kedro_provenance.owned import ForeignOutputError
from kedro_provenance.recipes import Declared, Recipes, flatten
from kedro_provenance.records import SUFFIX, read_record
from kedro_provenance.scheduler import Scheduler

NUMBER = count()
CODE = {
    "__init__.py": "",
    "nodes.py": '''
        """Nodes of the project."""
        import importlib

        from PKG.steps import window_sums
        from kedro_provenance.recipes import implementations

        def engine(given):
            return [getattr(importlib.import_module("PKG." + given["params:train"]["engine"]), "Engine")]

        def clean(raw):
            """Drop what is blank."""
            return [line for line in raw if line]

        def features(cleaned, window):
            return window_sums(cleaned, window)

        @implementations(engine)
        def train(features, settings):
            (made,) = engine({"params:train": settings})
            return made().fit(features) * settings["rate"]

        def evaluate(model, features):
            return round(model + sum(features), 3)

        def report(score):
            return f"score {score}"

        def stats(cleaned):
            yield len(cleaned)
            yield len(cleaned) + 0.5
        ''',
    "steps.py": """
        from PKG.helpers import add

        def window_sums(values, window):
            return [add(values[i : i + window]) for i in range(len(values))]
        """,
    "helpers.py": """
        def add(values):
            # from left to right
            return sum(values)

        def unused(values):
            return 0
        """,
    "engine_a.py": """
        class Engine:
            version = "1"
            def fit(self, values):
                return 2 * sum(values)
        """,
    "engine_b.py": """
        class Engine:
            version = "1"
            def fit(self, values):
                return 3 * sum(values)
        """,
}
ORDER = ["clean", "stats", "features", "train", "evaluate", "report"]


class File(AbstractDataset):
    """A JSON file; fails to save when told to."""

    def __init__(self, filepath, fails=False):
        self._filepath, self.fails = str(filepath), fails

    def load(self):
        return json.loads(Path(self._filepath).read_text())

    def save(self, data):
        Path(self._filepath).write_text(json.dumps(data))
        if self.fails:
            raise OSError("the disk is full")

    def _exists(self):
        return Path(self._filepath).exists()

    def _describe(self):
        return {"filepath": self._filepath}


class Project:
    """Code, data and parameters on disk."""

    def __init__(self, folder):
        self.folder = folder
        self.package = f"edited_package_{next(NUMBER)}"
        (folder / self.package).mkdir()
        for name, text in CODE.items():
            self.code(name).write_text(textwrap.dedent(text).replace("PKG", self.package))
        self.path("raw").write_text("[1, 2, null, 3]")
        self.window, self.train = 2, {"rate": 0.5, "engine": "engine_a", "workers": 1}
        self.names = {name: name for name in ORDER}
        self.fails = None
        self.environment = "base"
        self.variant = False

    def code(self, name):
        return self.folder / self.package / name

    def path(self, name):
        return self.folder / (f"{name}.json" if name == "raw" else f"{self.environment}-{name}.json")

    def edit(self, name, old, new):
        text = self.code(name).read_text()
        assert old in text
        self.code(name).write_text(text.replace(old, new))

    def scheduler(self, forced=(), targets=("report", "stats")):
        for name in [one for one in sys.modules if one.startswith(self.package)]:
            del sys.modules[name]
        importlib.invalidate_caches()
        nodes = importlib.import_module(f"{self.package}.nodes")
        inputs = {
            "clean": ["raw"],
            "stats": ["clean"],
            "features": ["clean", "params:window"],
            "train": ["features", "params:train"],
            "evaluate": ["train", "features"],
            "report": ["evaluate"],
        }
        made = [Node(getattr(nodes, name), inputs[name], name, name=self.names[name]) for name in ORDER]
        if self.variant:
            made.append(Node(nodes.evaluate, ["train", "features"], "variant", name="variant"))
            targets = [*targets, "variant"]
        datasets = {name: File(self.path(name), fails=name == self.fails) for name in ["raw", *ORDER, "variant"]}
        self.catalog = DataCatalog(
            {**datasets, "params:window": MemoryDataset(self.window), "params:train": MemoryDataset(self.train)}
        )
        declared = Declared(packages=(self.package,), ignored_parameters=("train.workers",))
        return Scheduler(
            Pipeline(made),
            self.catalog,
            Recipes(self.catalog, declared),
            Contents(self.folder / "cache.json"),
            targets=[self.names.get(name, name) for name in targets],
            forced=forced,
        )

    def run(self, **options):
        scheduler = self.scheduler(**options)

        def execute(node):
            Task(node, self.catalog, hook_manager=_NullPluginManager(), is_async=False).execute()

        scheduler.run(execute)
        return scheduler.ran


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    # Kept bytecode is told from new source by size and whole seconds, and edits here may change neither.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = Project(tmp_path)
    assert sorted(made.run()) == sorted(ORDER)
    assert made.run() == []
    return made


def touch(project):
    time.sleep(0.03)
    project.path("raw").write_text(project.path("raw").read_text())


def set_window(project, window=3):
    project.window = window


def there_and_back(project):
    project.window = 3
    project.window = 2


def copy_from_elsewhere(project):
    """Put in place what another project has made, with its record."""
    path = Path(str(project.path("train")) + SUFFIX)
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "path": "/elsewhere/train.json"}))


EDITS = {
    "no edit": (lambda p: None, []),
    "a comment": (lambda p: p.edit("helpers.py", "# from left to right", "# in order"), []),
    "a docstring": (lambda p: p.edit("nodes.py", "Drop what is blank.", "Keep the rest."), []),
    "formatting": (
        lambda p: p.edit("nodes.py", "[line for line in raw if line]", "[line for line\n in raw if line]"), []),
    "an unused helper": (lambda p: p.edit("helpers.py", "return 0", "return 1"), []),
    "an engine that is not in use": (lambda p: p.edit("engine_b.py", "return 3", "return 4"), []),
    "the engine in use, to the same effect": (
        lambda p: p.edit("engine_a.py", "2 * sum(values)", "sum(values) * 2"), ["train"]),
    "the engine in use": (
        lambda p: p.edit("engine_a.py", "2 * sum", "5 * sum"), ["train", "evaluate", "report"]),
    "the version of the engine in use": (lambda p: p.edit("engine_a.py", 'version = "1"', 'version = "2"'), ["train"]),
    "another engine": (lambda p: p.train.update(engine="engine_b"), ["train", "evaluate", "report"]),
    "a helper two imports away": (
        lambda p: p.edit("helpers.py", "return sum(values)", "return 1 + sum(values)"),
        ["features", "train", "evaluate", "report"]),
    "a helper two imports away, to the same effect": (
        lambda p: p.edit("helpers.py", "return sum(values)", "return 0 + sum(values)"), ["features"]),
    "the last node's code": (lambda p: p.edit("nodes.py", "score {score}", "is {score}"), ["report"]),
    "a parameter": (set_window, ["features", "train", "evaluate", "report"]),
    "a parameter and back": (there_and_back, []),
    "a parameter declared as without effect": (lambda p: p.train.update(workers=8), []),
    "a raw file touched but equal": (touch, []),
    "a raw file changed in what is dropped": (
        lambda p: p.path("raw").write_text("[1, null, null, 2, 3]"), ["clean"]),
    "a raw file changed": (lambda p: p.path("raw").write_text("[1, 2, 4]"), ORDER),
    "an output between deleted": (lambda p: p.path("train").unlink(), []),
    "an output between and its record deleted": (
        lambda p: (p.path("train").unlink(), Path(str(p.path("train")) + SUFFIX).unlink()), []),
    "an output that was asked for deleted": (lambda p: p.path("report").unlink(), ["report"]),
    "an output deleted that a stale node needs": (
        lambda p: (p.path("features").unlink(), p.train.update(rate=0.7)), ["features", "train", "evaluate", "report"]),
    "a node renamed": (lambda p: p.names.update(train="fit"), []),
    "a variant added": (lambda p: setattr(p, "variant", True), ["variant"]),
    "another environment": (lambda p: setattr(p, "environment", "other"), ORDER),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_none_more_and_none_less_run(project, name):
    edit, expected = EDITS[name]
    edit(project)
    planned = [one.node.name for one in project.scheduler().plan() if one.status != "fresh"]
    assert sorted(project.run()) == sorted(expected)
    assert set(expected) <= set(planned)
    assert project.run() == []


FOREIGN = {
    "an output edited by hand": ("train", lambda p: p.path("train").write_text("99")),
    "a record deleted": ("train", lambda p: Path(str(p.path("train")) + SUFFIX).unlink()),
    "an output of another project": ("train", copy_from_elsewhere),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_an_output_that_this_project_did_not_make_is_not_replaced(project, name):
    output, edit = FOREIGN[name]
    edit(project)
    content = project.path(output).read_text()
    project.train.update(rate=0.7)  # a reason to make it again
    for _ in range(2):
        with pytest.raises(ForeignOutputError, match=f"and {output} would replace it as {output}: move the"):
            project.run()
        assert project.path(output).read_text() == content
    project.scheduler().accept([output])
    ran = project.run()  # what reads the accepted output, but not its node
    assert output not in ran
    assert project.path(output).read_text() == content
    project.window, project.train["rate"] = 3, 0.8
    with pytest.raises(ForeignOutputError, match="was not made by this project, but accepted as it is"):
        project.run()
    assert project.path(output).read_text() == content
    project.path(output).unlink()
    assert output in project.run()


def test_what_a_killed_run_has_left_is_replaced(project):
    project.window = 3

    def killed(node):
        if node.name == "train":
            project.path("train").write_text("0.5")  # half of the outputs are there when the process ends
            os._exit(9)
        Task(node=node, catalog=project.catalog, hook_manager=_NullPluginManager(), is_async=False).execute()

    child = os.fork()
    if not child:
        try:
            project.scheduler().run(killed)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert project.path("train").read_text() == "0.5"
    assert project.run() == ["train", "evaluate", "report"]


def test_a_failed_node_leaves_no_claim_on_a_file_that_comes_later(project):
    project.path("train").unlink()
    project.edit("nodes.py", "* settings", "* missing")
    with pytest.raises(NameError):
        project.run()
    project.path("train").write_text("99")
    with pytest.raises(ForeignOutputError):
        project.run()


def test_a_crash_in_a_node_is_made_up_for(project):
    project.edit("nodes.py", "* settings", "* missing")
    with pytest.raises(NameError):
        project.run()
    assert read_record(str(project.path("train"))) is None  # nobody vouches for what is there
    project.edit("nodes.py", "* missing", "* settings")
    assert project.run() == ["train"]


def test_a_crash_in_a_save_is_made_up_for(project):
    project.window, project.fails = 3, "features"
    with pytest.raises(Exception, match="the disk is full"):
        project.run()
    project.fails = None
    assert project.run() == ["features", "train", "evaluate", "report"]
    project.window, project.fails = 2, "features"
    with pytest.raises(Exception, match="the disk is full"):
        project.run()
    project.window, project.fails = 3, None  # back to what the rest was made from
    assert project.run() == ["features"]


def test_an_older_checkout_and_back(project):
    old = project.code("steps.py").read_text()
    project.edit("steps.py", "[add(", "[2 * add(")
    assert project.run() == ["features", "train", "evaluate", "report"]
    new = project.code("steps.py").read_text()
    project.code("steps.py").write_text(old)
    assert project.run() == ["features", "train", "evaluate", "report"]
    project.code("steps.py").write_text(new)
    assert project.run() == ["features", "train", "evaluate", "report"]


def test_two_environments_do_not_spoil_each_other(project):
    project.environment = "other"
    project.window = 5
    project.run()
    project.environment, project.window = "base", 2
    assert project.run() == []


def test_a_partial_run_makes_what_it_needs_and_no_more(project):
    project.window = 3
    assert project.run(targets=["stats"]) == []
    assert project.run(targets=["features"]) == ["features"]
    assert project.run() == ["train", "evaluate", "report"]


def test_forced_nodes_run_and_cut_off_what_follows(project):
    assert project.run(forced=["train"]) == ["train"]


def test_accepted_outputs_are_fresh_and_say_so(project):
    project.edit("helpers.py", "return sum(values)", "return 1 + sum(values)")
    accepted = project.scheduler().accept()
    assert [one.node.name for one in accepted] == ["features"]
    assert project.run() == []
    record = read_record(str(project.path("features")))
    assert record.accepted == [f"code of {project.package}.helpers changed"]
    project.window = 3  # accepting once is not accepting for ever
    assert project.run() == ["features", "train", "evaluate", "report"]


def test_unknown_outputs_can_be_adopted(project):
    for name in ORDER:
        Path(str(project.path(name)) + SUFFIX).unlink()
    assert {one.node.name for one in project.scheduler().accept()} == set(ORDER)
    assert project.run() == []


def test_only_named_nodes_are_accepted(project):
    project.edit("nodes.py", "score {score}", "is {score}")
    project.edit("nodes.py", "if line]", "if line or None]")
    assert [one.node.name for one in project.scheduler().accept(["report"])] == ["report"]
    assert project.run() == ["clean"]


def test_a_node_without_an_output_is_not_accepted_but_named(project):
    project.path("report").unlink()
    assert project.scheduler().incomplete() == []  # its record is fresh
    (passed,) = project.scheduler().incomplete(["report"])
    assert (passed.node.name, passed.reasons) == ("report", ["report is not there"])
    assert project.scheduler().accept(["report"]) == []


def split(values):
    return values, values


def test_stale_results_of_which_one_is_gone_are_named_without_being_asked_for(project):
    whole = project.scheduler()
    both = Node(split, "clean", ["stats", "variant"], name="both")
    scheduler = replace(whole, pipeline=Pipeline([both]), targets=["both"])
    assert [(one.node.name, one.reasons) for one in scheduler.incomplete()] == [("both", ["variant is not there"])]
    assert scheduler.accept() == []
    project.path("variant").write_text("[1]")
    assert scheduler.incomplete() == []
    assert [one.node.name for one in scheduler.accept()] == ["both"]


def test_parameters_are_flattened_and_an_empty_group_says_nothing():
    given = {"train": {}, "rate": 0.5, "listed": [1, {"a": (2,)}]}
    assert dict(flatten(given, "x")) == {"x.rate": 0.5, "x.listed": [1, {"a": [2]}]}
