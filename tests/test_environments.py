"""The environments for GPUs hold together where there is no GPU, no vLLM and no network."""

import importlib.util
import re

import pytest
from kedro.io import DataCatalog, DatasetError, MemoryDataset

from forkpipe.engines.registry import create_engines
from forkpipe.engines.vllm import VLLMEngine
from forkpipe.parameters import check_parameters
from forkpipe.pipeline_registry import register_pipelines
from forkpipe.preflight import check_run
from test_parameters import parameters
from test_project import catalog as catalog_config

ENVIRONMENTS = ["single_gpu", "paper"]


@pytest.fixture
def with_vllm(monkeypatch):
    """As if vllm were installed: an engine loads it when it is first asked."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "vllm" else find(name))


@pytest.fixture(params=ENVIRONMENTS)
def environment(request):
    return request.param


@pytest.fixture
def catalog(environment):
    entries = {name: value for name, value in catalog_config(environment).items() if name[0] != "_"}
    made = DataCatalog.from_config(entries)
    made["parameters"] = MemoryDataset(parameters(environment))
    return made


def test_all_pipelines_and_settings_go_together(catalog, with_vllm):
    pipelines = register_pipelines()
    for pipeline in pipelines.values():
        assert [one for one in pipeline.datasets() if not one.startswith("param") and one not in catalog] == []
    check_run(catalog, pipelines["__default__"].nodes)


def test_teachers_are_vllm_with_room_for_what_is_asked(environment, with_vllm):
    generation = check_parameters(parameters(environment)).generation
    engines = create_engines(generation.asked)
    assert all(isinstance(engine, VLLMEngine) for engine in engines.values())
    assert len({engine.identity for engine in engines.values()}) == len(engines)
    for teacher in generation.asked.values():
        # a prompt of a thousand tokens at least
        assert teacher.options["max_model_len"] >= teacher.sampling.max_tokens + 1000


def test_students_learn_what_teachers_may_write(environment):
    """A trace that is longer than supervised.max_length would stop the training."""
    checked = check_parameters(parameters(environment))
    longest = max(teacher.sampling.max_tokens for teacher in checked.generation.asked.values())
    assert checked.supervised.max_length >= longest + 1000


def test_missing_files_are_named_with_what_to_fetch(catalog):
    for entry, said in (("raw_problems", "no such file; fetch .* and put it there"), ("evaluation_sets", "fetch .*")):
        with pytest.raises(DatasetError) as caught:
            catalog.load(entry)
        assert re.search(said, str(caught.value.__cause__))
