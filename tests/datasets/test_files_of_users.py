"""What a user names in the catalog is never written to: each entry is pointed at files that forkpipe did not make."""

import multiprocessing
import shutil
from pathlib import Path

import pytest
from kedro.io import DataCatalog, MemoryDataset
from omegaconf import OmegaConf

from forkpipe.config import ProjectConfigLoader
from forkpipe.core.errors import InputError
from forkpipe.core.records import Completion
from forkpipe.datasets.checkpoint import CheckpointDataset, WorkFolderDataset
from forkpipe.datasets.completions import CompletionStoreDataset
from forkpipe.datasets.results import ResultStoreDataset
from forkpipe.datasets.store import FolderStoreDataset
from forkpipe.datasets.trace_store import TraceStoreDataset
from forkpipe.pipeline_registry import register_pipelines
from forkpipe.preflight import check_run
from forkpipe.settings import CONFIG_LOADER_ARGS
from forkpipe.stores.completions import CompletionStore
from forkpipe.stores.trace_store import TraceStore
from kedro_provenance.content import Contents, location
from kedro_provenance.owned import ForeignOutputError, Owned

CONF = Path(__file__).parents[2] / "conf"


def catalog_at(folder):
    """Return the catalog of conf/base with its paths under `folder`, and the pipeline of everything."""
    loader = ProjectConfigLoader(str(CONF), env="smoke", **CONFIG_LOADER_ARGS)
    entries = OmegaConf.to_container(OmegaConf.create(dict(loader["catalog"])))
    for entry in entries.values():
        if isinstance(entry, dict) and "filepath" in entry:
            entry["filepath"] = str(folder / entry["filepath"])
    catalog = DataCatalog.from_config({name: entry for name, entry in entries.items() if name[0] != "_"})
    catalog["parameters"] = MemoryDataset(dict(loader["parameters"]))
    pipeline = register_pipelines()["__default__"]
    for name in pipeline.datasets():
        catalog.get(name, fallback_to_runtime_pattern=True)
    return catalog, pipeline


def put_files(path, in_folder):
    """Put a file of a user at `path`, in a folder with a name that a trainer would use where a folder belongs."""
    if in_folder:
        path = path / "checkpoint" / "model.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("of a user\n")


def check(owned, catalog, node):
    """Check a node as before a run."""
    owned.check([node])
    check_run(catalog, [node])


def begin(owned, catalog, node):
    """Do what is done before the node itself runs, unchecked."""
    with owned.claimed(node):
        for store in node.stores:
            catalog[store].load()


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "digests.json"}


def test_no_entry_of_the_catalog_replaces_files_of_a_user(tmp_path):
    catalog, pipeline = catalog_at(tmp_path)
    owned = Owned(catalog, Contents(tmp_path / "digests.json"), tmp_path)
    owned.check(pipeline.nodes)  # nothing is there yet
    refused = set()
    for node in pipeline.nodes:
        for name in (*node.outputs, *node.stores):
            dataset = catalog[name]
            path = Path(location(dataset) or dataset._describe()["filepath"])
            put_files(path, isinstance(dataset, CheckpointDataset | WorkFolderDataset | FolderStoreDataset))
            before = contents(tmp_path)
            with pytest.raises((ForeignOutputError, InputError)) as error:
                check(owned, catalog, node)
            assert str(path) in str(error.value)
            assert "\n" not in str(error.value)
            with pytest.raises((ForeignOutputError, InputError)):
                begin(owned, catalog, node)
            for store in node.stores:
                catalog.release(store)
            assert before.items() <= contents(tmp_path).items()
            shutil.rmtree(tmp_path / "data")
            refused.add(name)
    inputs = {name for name in pipeline.inputs() if not name.startswith("param")}
    entries = {name for name in pipeline.datasets() if not name.startswith("param")}
    assert entries == inputs | {output for node in pipeline.nodes for output in node.outputs}
    assert refused == entries - inputs | {store for node in pipeline.nodes for store in node.stores}


def test_a_checkpoint_is_replaced_and_a_folder_beside_it_stays(tmp_path):
    for name in ("checkpoint", "checkpoint.old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "forking.json").write_text(name)
    CheckpointDataset(filepath=str(tmp_path / "checkpoint")).save(tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "checkpoint.old"]
    assert (tmp_path / "checkpoint/forking.json").read_text() == "new"
    assert (tmp_path / "checkpoint.old/forking.json").read_text() == "checkpoint.old"


@pytest.mark.parametrize("left", [["trainer/job.txt"], ["1_tags/trainer/job.txt", "checkpoint/config.json"], []])
def test_work_folders_of_earlier_versions_go_on(tmp_path, left):
    for name in left:
        (tmp_path / "work" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "work" / name).write_text("x")
    dataset = WorkFolderDataset(filepath=str(tmp_path / "work"))
    for _ in range(2):
        assert dataset.load() == tmp_path / "work"
        dataset.release()


def test_stores_that_are_there_go_on(tmp_path):
    with TraceStore(tmp_path / "store"):
        pass
    TraceStoreDataset(filepath=str(tmp_path / "store")).check()
    torn = tmp_path / "completions.jsonl"
    torn.write_text('{"request')  # a run was killed while it wrote the first line
    CompletionStore(torn).append([Completion("r", "text")])
    CompletionStoreDataset(filepath=str(torn)).check()


@pytest.mark.parametrize("text", ['{\n  "answers": []\n}\n', "\nnotes\n", "[]"])
def test_a_file_that_is_no_store_is_not_appended_to(tmp_path, text):
    path = tmp_path / "notes.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"notes.json: is no cache of answers and no store of completions"):
        CompletionStoreDataset(filepath=str(path)).load()


def _train(path, loaded, end):
    dataset = WorkFolderDataset(filepath=path)
    dataset.load()
    loaded.set()
    end.wait(60)
    dataset.release()


def test_a_second_training_in_one_work_folder_is_refused(tmp_path):
    context = multiprocessing.get_context("spawn")
    loaded, end = context.Event(), context.Event()
    first = context.Process(target=_train, args=(str(tmp_path / "work"), loaded, end))
    first.start()
    assert loaded.wait(60)
    second = WorkFolderDataset(filepath=str(tmp_path / "work"))
    with pytest.raises(InputError, match=rf"work folder {tmp_path}/work is in use by process {first.pid} on .* since"):
        second.load()
    end.set()
    first.join()
    assert second.load() == tmp_path / "work"
    second.release()


@pytest.mark.parametrize("kind", [TraceStoreDataset, ResultStoreDataset])
def test_a_file_is_no_folder_of_a_store(tmp_path, kind):
    (tmp_path / "store").write_text("of a user")
    with pytest.raises(InputError, match=r"store: is a file and is no (trace store|store of results): give the store"):
        kind(filepath=str(tmp_path / "store")).check()
    assert (tmp_path / "store").read_text() == "of a user"
