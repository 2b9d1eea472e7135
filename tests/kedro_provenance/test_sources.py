"""How an input that no node makes is read: another way of reading it makes stale what was made from it."""

import json

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from kedro_provenance.content import Contents
from kedro_provenance.recipes import Declared, Recipes
from kedro_provenance.records import SUFFIX
from kedro_provenance.scheduler import Scheduler


class Project:
    """raw -> out, with a catalog entry for raw."""

    def __init__(self, folder):
        self.folder = folder
        self.commit = self.model = None
        (folder / "raw.csv").write_text("a,b\n1,2\n")

    def scheduler(self, entry):
        out = {"type": "json.JSONDataset", "filepath": str(self.folder / "out.json")}
        catalog = DataCatalog.from_config({"raw": entry, "out": out}, {"mine": {"token": "secret"}})
        catalog["params:rate"] = MemoryDataset(1)
        outside = {
            "raw": {"commit": self.commit} if self.commit else {},
            "params:rate": {"folder": str(self.model)} if self.model else {},
        }
        declared = Declared(packages=(), refers_to=lambda node, name, value: outside[name])
        pipeline = Pipeline([Node(max, ["raw", "params:rate"], "out", name="make")])
        contents = Contents(self.folder / "cache.json")
        return Scheduler(pipeline, catalog, Recipes(catalog, declared), contents, targets=["make"])

    def run(self, entry):
        scheduler = self.scheduler(entry)
        scheduler.run(lambda node: (self.folder / "out.json").write_text("1"))
        assert self.reasons(entry) == []

    def reasons(self, entry):
        return self.scheduler(entry).plan()[0].reasons


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def table(folder, **arguments):
    return {"type": "pandas.CSVDataset", "filepath": str(folder / "raw.csv"), **arguments}


def hub(**arguments):
    return {"type": "huggingface.HFDataset", "dataset_name": "org/name", "dataset_kwargs": arguments}


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ({}, {"load_args": {"nrows": 1}}, "raw: load_args.nrows none -> 1"),
        ({"load_args": {"sep": ","}}, {"load_args": {"sep": ";"}}, "raw: load_args.sep , -> ;"),
        ({}, {"type": "text.TextDataset"}, "raw: type kedro_datasets.pandas.csv_dataset.CSVDataset -> "),
    ],
)
def test_a_file_that_is_read_in_another_way(project, before, after, reason):
    project.run(table(project.folder, **before))
    assert any(given.startswith(reason) for given in project.reasons(table(project.folder, **after)))


def test_what_does_not_decide_how_a_file_is_read_does_not_count(project):
    project.run(table(project.folder))
    elsewhere = project.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "raw.csv").write_text((project.folder / "raw.csv").read_text())
    other = {"metadata": {"origin": "x"}, "save_args": {"index": True}, "credentials": "mine"}
    assert project.reasons(table(elsewhere, **other)) == []
    assert "secret" not in (project.folder / f"out.json{SUFFIX}").read_text()


def test_a_data_set_on_the_hub(project):
    project.commit = "a" * 40
    project.run(hub(split="train"))
    assert project.reasons(hub(split="test")) == ["raw: dataset_kwargs.split train -> test"]
    assert project.reasons(hub(split="train", revision="v2")) == ["raw: dataset_kwargs.revision none -> v2"]
    assert project.reasons({**hub(split="train"), "dataset_name": "org/x"}) == ["raw: dataset_name org/name -> org/x"]
    project.commit = None  # no network
    assert project.reasons(hub(split="train")) == []
    project.commit = "b" * 40
    assert project.reasons(hub(split="train")) == [f"raw: commit {'a' * 40} -> {'b' * 40}"]


def test_files_that_an_entry_names_count_with_their_content(project):
    entry = {"type": "huggingface.HFDataset", "dataset_name": "csv"}
    entry["dataset_kwargs"] = {"data_files": {"train": [str(project.folder / "raw.csv")]}}
    project.run(entry)
    moved = project.folder / "moved.csv"
    (project.folder / "raw.csv").rename(moved)
    entry["dataset_kwargs"] = {"data_files": {"train": [str(moved)]}}
    assert project.reasons(entry) == []
    moved.write_text("a,b\n1,3\n")
    (reason,) = project.reasons(entry)
    assert reason.startswith("raw: dataset_kwargs.data_files.train ")


def test_a_folder_that_a_parameter_names(project):
    project.model = project.folder / "a/model"
    project.model.mkdir(parents=True)
    (project.model / "model.safetensors").write_bytes(b"1")
    project.run(table(project.folder))
    project.model = project.model.rename(project.folder / "moved")
    assert project.reasons(table(project.folder)) == []
    (project.model / "model.safetensors").write_bytes(b"2")
    (reason,) = project.reasons(table(project.folder))
    assert reason.startswith("params:rate: folder content ")


def test_a_record_that_does_not_say_how_its_inputs_were_read_is_believed(project):
    project.run(table(project.folder))
    path = project.folder / f"out.json{SUFFIX}"
    record = json.loads(path.read_text())
    del record["recipe"]["sources"]
    path.write_text(json.dumps(record))
    assert project.reasons(table(project.folder, load_args={"nrows": 1})) == []
