"""After an update of the code: what counts as a change, and what a user is told when nearly everything is stale."""

import os

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro_datasets.json import JSONDataset

from kedro_provenance import content
from kedro_provenance.content import Contents
from kedro_provenance.printing import MANY, print_accepted, print_plan
from kedro_provenance.recipes import Declared, Recipes
from kedro_provenance.records import Recipe, is_about_code
from kedro_provenance.scheduler import Planned, Scheduler

OLD = {"a:f": "1", "a:g": "2", "b:h": "3", "wiring": "w"}


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ({"c:f": "1", "c:g": "2", "b:h": "3", "wiring": "w"}, []),  # a was renamed to c
        ({"c:f": "1", "c:g": "2", "d:h": "3", "wiring": "w"}, []),  # and b to d
        ({"c:f": "1", "c:g": "9", "b:h": "3", "wiring": "w"}, ["code of a changed", "code of c changed"]),
        ({"c:f": "1", "b:g": "2", "b:h": "3", "wiring": "w"}, [f"code of {m} changed" for m in "abc"]),
        # Two that changed names with each other: who calls a:h now meets what was b:h.
        ({"b:f": "1", "b:g": "2", "a:h": "3", "wiring": "w"}, [f"code of {m} changed" for m in "ab"]),
        ({"c:f": "1", "c:g": "2", "b:h": "3", "wiring": "v"}, ["its inputs or outputs changed places"]),
        ({"a:f": "1", "a:g": "2", "wiring": "w"}, ["code of b changed"]),
    ],
)
def test_a_module_that_is_only_renamed_is_no_change(new, expected):
    old, new = Recipe(OLD, {"p": 1}, {"i": "x"}), Recipe(new, {"p": 1}, {"i": "x"})
    assert old.differences(new) == expected
    assert (old.digest() == new.digest()) or expected


def test_an_input_that_is_read_anew_is_a_change_of_the_wiring():
    old = Recipe({"wiring": "w"}, {}, {"i": "x", "j": "y"})
    assert old.differences(Recipe({"wiring": "v"}, {}, {"i": "x", "k": "z"})) == [
        "its inputs or outputs changed places"
    ]
    assert old.differences(Recipe({"wiring": "v"}, {}, {"i": "y", "k": "z"}))[1:] == ["input i changed"]
    assert old.differences(Recipe({"wiring": "w"}, {}, {"i": "x"})) == ["input j changed"]


def test_of_many_changes_of_code_the_first_are_named(capsys):
    reasons = ["parameter x 1 -> 2", *(f"code of m{i} changed" for i in range(MANY + 3))]
    print_plan(planned(1, "train", reasons=reasons), running=False)
    named = "; ".join(reasons[:MANY])
    assert capsys.readouterr().out == f"run   train.0: {named}; 4 more changes of code\n"


def test_the_digest_of_a_recipe_changes_with_code_parameters_and_inputs():
    recipes = [
        Recipe(OLD, {}, {}),
        Recipe({**OLD, "a:f": "9"}, {}, {}),
        Recipe(OLD, {"p": 1}, {}),
        Recipe(OLD, {}, {"i": "x"}),
    ]
    assert len({recipe.digest() for recipe in recipes}) == len(recipes)


def planned(n, tag, status="run", reasons=("code of a changed", "code of b changed")):
    return [
        Planned(Node(max, ["x", "y"], f"{tag}{i}", name=f"{tag}.{i}", tags=tag), status, list(reasons))
        for i in range(n)
    ]


def test_a_small_change_is_told_node_by_node(capsys):
    plan = (
        planned(MANY, "train")
        + planned(1, "report", "if inputs change", ["if train0 changes"])
        + planned(2, "other", "fresh")
    )
    print_plan(plan, running=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "run   train.0: code of a changed; code of b changed"
    assert lines[MANY:] == ["maybe report.0: if train0 changes", "fresh 2 other nodes"]


@pytest.mark.parametrize("running", [False, True])
def test_an_update_is_told_in_counts_and_once_what_to_do(capsys, running):
    plan = planned(1, "early", reasons=["code of a changed", "parameter x 1 -> 2"])
    plan += planned(1, "late", "if inputs change", ["if y changes"])
    plan += planned(MANY, "train") + planned(1, "report") + planned(2, "report", "if inputs change", ["if y changes"])
    print_plan(plan, running)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        "run   early.0: code of a changed; parameter x 1 -> 2",
        f"run   train: {MANY} nodes whose code changed",
        "run   report: 1 node whose code changed, 2 more if inputs change",
        "maybe late: 1 node if inputs change",
        f"The code of {MANY + 1} nodes changed after their results were made.",
    ]
    assert len(lines) == 6
    assert "`kedro accept`" in lines[5]
    assert ("stop this run" in lines[5]) == running


def test_many_accepted_results_are_counted(capsys):
    print_accepted(planned(2, "train"))
    assert len(capsys.readouterr().out.splitlines()) == 2
    print_accepted(planned(MANY, "train") + planned(2, "report"))
    assert capsys.readouterr().out == f"accepted the results of {MANY + 2} nodes as they are: train {MANY}, report 2\n"


def test_a_parameter_that_is_ignored_from_now_on_makes_nothing_stale(tmp_path):
    """Its value is in the record of the last run, which another declaration of the project wrote."""
    output = JSONDataset(filepath=str(tmp_path / "o.json"))
    catalog = DataCatalog({"params:p": MemoryDataset({"a": 1, "workers": 2}), "o": output})
    node = Node(lambda p: p["a"], "params:p", "o", name="n")

    def scheduler(*ignored):
        recipes = Recipes(catalog, Declared(packages=(), ignored_parameters=ignored))
        return Scheduler(Pipeline([node]), catalog, recipes, Contents(tmp_path / "cache.json"), targets=["n"])

    scheduler().run(lambda node: output.save(1))
    assert scheduler("p.workers").plan()[0].status == "fresh"
    assert scheduler("p.a").plan()[0].status == "fresh"
    catalog["params:p"].save({"a": 2, "workers": 3})
    assert scheduler("p.workers").plan()[0].reasons == ["parameter p.a 1 -> 2"]


def test_a_plan_keeps_the_digests_of_files_that_were_touched(tmp_path, monkeypatch):
    output = JSONDataset(filepath=str(tmp_path / "o.json"))
    catalog = DataCatalog({"o": output})
    node = Node(lambda: 1, None, "o", name="n")

    def scheduler(cache="cache.json"):
        recipes = Recipes(catalog, Declared(packages=()))
        return Scheduler(Pipeline([node]), catalog, recipes, Contents(tmp_path / cache), targets=["n"])

    scheduler().run(lambda node: output.save(1))
    os.utime(tmp_path / "o.json", (1e9, 1e9))
    (tmp_path / "other.json").write_text("2")
    of_other = scheduler().contents
    other = of_other.of_files(str(tmp_path / "other.json"))
    assert scheduler().plan()[0].status == "fresh"
    of_other.save()  # it read the cache before the plan wrote it, and replaces nothing of the plan's

    def read_again(path):
        raise AssertionError(f"{path} is read again")

    monkeypatch.setattr(content, "_bytes", read_again)
    assert scheduler().plan()[0].status == "fresh"
    assert scheduler().contents.of_files(str(tmp_path / "other.json")) == other
    with pytest.raises(AssertionError, match=r"o\.json is read again"):
        scheduler("another.json").plan()


def test_a_project_that_cannot_be_written_is_planned(tmp_path):
    (tmp_path / "file").write_text("1")
    contents = Contents(tmp_path / "file" / "cache.json")  # below a file nothing can be written
    assert contents.of_files(str(tmp_path / "file")) is not None
    contents.save()


def test_of_several_patterns_the_last_that_matches_decides():
    node = Node(lambda p: p, "params:p", "o", name="n")
    recipes = Recipes(DataCatalog(), Declared(packages=(), ignored_parameters=("n:p.*", "!n:p.*.kept", "p.b.kept")))
    given = {"p.a.kept": 1, "p.a.other": 2, "p.b.kept": 3, "q": 4}
    assert recipes.counted(node, given) == {"p.a.kept": 1, "q": 4}
    other = Node(lambda p: p, "params:p", "o", name="m")
    assert recipes.counted(other, given) == {"p.a.kept": 1, "p.a.other": 2, "q": 4}


def test_a_class_that_is_counted_for_the_first_time_is_a_change_of_code():
    old, new = Recipe({"m:f": "1"}), Recipe({"m:f": "1", "m:Engine:x": "2"})
    assert list(map(is_about_code, old.differences(new))) == [True]
    other = Recipe({"m:f": "1", "m:Engine:y": "3"})
    assert list(map(is_about_code, new.differences(other))) == [False, True]  # the user chose another one
