"""What an engine option changes is said once, by the engine's identity: the recipes of nodes follow it."""

import copy
import importlib.util
import inspect

import pytest
from kedro.io import DataCatalog, MemoryDataset

from forkpipe.core.engine import described
from forkpipe.core.plugins import find_class
from forkpipe.engines.registry import ENGINES, create_engine
from forkpipe.parameters import check_parameters
from forkpipe.pipeline_registry import register_pipelines
from forkpipe.session import DECLARED
from kedro_provenance.code import CodeIndex
from kedro_provenance.recipes import Recipes
from kedro_provenance.records import Recipe
from test_parameters import parameters

SERVER = {"model": "m", "base_url": "http://localhost:1/v1"}
CHAT = {"chat": True}
TRANSFORMERS = {"engine": "transformers", "options": {"model": "m"}}
CHANGES = {
    "procedural": {
        "strategy": ({}, "cycle", True),
        "error_rate": ({}, 0.25, True),
        "truncation_rate": ({}, 0.25, True),
    },
    "import": {
        "path": ({}, "other.jsonl", True),
        "fields": ({}, {"reasoning": "why"}, True),
        "where": ({}, {"teacher": "b"}, True),
        "problems": ({}, "ids.jsonl", True),
        "prompt": ({}, "Solve: {problem}", True),
    },
    "transformers": {
        "model": ({}, "other", True),
        "revision": ({}, "v2", True),
        "chat": ({}, True, True),
        "tags": ({}, "none", True),
        "batch_rows": ({}, 3, False),
    },
    "vllm": {
        "model": ({}, "other", True),
        "revision": ({}, "v2", True),
        "tokenizer": ({}, "other", True),
        "dtype": ({}, "bfloat16", True),
        "chat": ({}, True, True),
        "system": (CHAT, "Think.", True),
        "template_options": (CHAT, {"enable_thinking": False}, True),
        "reasoning_parser": ({}, "deepseek_r1", True),
        "engine_args": ({}, {"quantization": "fp8"}, True),
        "tags": ({}, "text:6", True),
        "tensor_parallel": ({}, 2, False),
        "data_parallel": ({}, 2, False),
        "prefix_caching": ({}, False, False),
        "max_model_len": ({}, 4096, False),  # cuts a text as max_tokens does
        "gpu_memory_utilization": ({}, 0.5, False),
        "max_num_seqs": ({}, 8, False),
        "enforce_eager": ({}, True, False),
    },
    "openai": {
        "model": ({}, "other", True),
        "endpoint": ({}, "completions", True),
        "system": ({}, "Think.", True),
        "extra_body": ({}, {"top_k": 20}, True),
        "omit": ({}, ["temperature"], True),
        "checkpoint": ({"endpoint": "completions"}, "folder", True),
        "tags": ({"endpoint": "completions", "checkpoint": "folder"}, "text:6", True),
        "base_url": ({}, ["http://localhost:2/v1"], False),
        "concurrency": ({}, 3, False),
        "stream": ({}, True, False),
        "timeout": ({}, 3.0, False),
        "connect_timeout": ({}, 3.0, False),
        "attempts": ({}, 3, False),
        "backoff": ({}, 3.0, False),
        "longest_backoff": ({}, 3.0, False),
        "rate_limit_wait": ({}, 3.0, False),
        "patience": ({}, 3.0, False),
        "aliases": ({}, ["m-*"], False),
        "max_tokens_field": ({}, "max_completion_tokens", False),
        "api_key_env": ({}, "A_KEY", False),
        "credentials": ({}, "server", False),
    },
    "ray": {
        "engine": ({}, "vllm", True),
        "options": ({}, {"model": "other"}, True),
        "actors": ({}, 2, False),
        "address": ({}, "auto", False),
        "cpus": ({}, 2.0, False),
        "gpus": ({}, 1.0, False),
        "batch_rows": ({}, 3, False),
        "attempts": ({}, 5, False),
        "start_timeout": ({}, 3.0, False),
    },
}
"""Engine -> option -> (options it needs, another value, whether that changes a completion), decided by hand."""
BASE = {
    "procedural": {"strategy": "peasant"},
    "import": {"path": "traces.jsonl"},
    "transformers": {"model": "m"},
    "vllm": {"model": "m"},
    "openai": SERVER,
    "ray": TRANSFORMERS,
}
ASKED = {"verify_traces": ("verification", "judge"), "cluster_strategies": ("strategies", "summaries")}
CASES = [(engine, option) for engine, options in CHANGES.items() for option in options]


@pytest.fixture(autouse=True)
def installed(monkeypatch, tmp_path):
    """Act as if vllm and ray were installed, and write the files of the engine import."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name in ("vllm", "ray") else find(name))
    # The code that a node's function reaches takes long to read, and no parameter changes it.
    monkeypatch.setattr(CodeIndex, "fingerprint", lambda index, function: {})
    monkeypatch.chdir(tmp_path)
    for name, text in (("traces", "a trace"), ("other", "another trace"), ("moved", "a trace")):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"problem": "p", "text": "{text}"}}\n')
    (tmp_path / "ids.jsonl").write_text('{"id": "1", "problem": "p"}\n')


@pytest.fixture(scope="module")
def nodes():
    return {node.name: node for node in register_pipelines()["__default__"].nodes}


@pytest.fixture(scope="module")
def settings():
    return parameters()


def recipe_of(node, raw):
    """Return what the recipe of a node holds."""
    checked = check_parameters(raw)
    values = {}
    for name in node.inputs:
        if name.startswith("params:"):
            value = checked
            for part in name.removeprefix("params:").split("."):
                value = getattr(value, part)
            values[name] = MemoryDataset(value, copy_mode="assign")
    made = Recipes(DataCatalog(values), DECLARED).of(node)
    return made.code, made.parameters


def with_teacher(settings, engine, options):
    raw = copy.deepcopy(settings)
    raw["generation"] = {"teachers": {"t": {"engine": engine, "options": options}}}
    return raw


def completing(settings, section, engine, options):
    raw = copy.deepcopy(settings)
    raw[section]["engine"] = {"name": engine, "options": options}
    return raw


def with_asked(settings, section, name, engine, options):
    raw = copy.deepcopy(settings)
    raw[section][name] = {"engine": engine, "options": options}
    return raw


def test_every_option_of_every_engine_is_decided():
    assert CHANGES.keys() == ENGINES.keys()
    for name, options in CHANGES.items():
        declared = inspect.signature(find_class("engine", ENGINES, name, "here")).parameters
        assert options.keys() == declared.keys(), name


@pytest.mark.parametrize(("engine", "option"), CASES)
def test_an_option_changes_the_recipe_of_traces_if_it_is_in_the_identity(engine, option, nodes, settings):
    needed, value, counts = CHANGES[engine][option]
    before = {**BASE[engine], **needed}
    after = {**before, option: value}
    identities = [described(create_engine(engine, options, "here")) for options in (before, after)]
    assert (identities[0] != identities[1]) == counts
    node = nodes["generate_traces"]
    recipes = [recipe_of(node, with_teacher(settings, engine, options)) for options in (before, after)]
    assert (recipes[0] != recipes[1]) == counts
    for node_name, (section, name) in ASKED.items():
        recipes = [
            recipe_of(nodes[node_name], with_asked(settings, section, name, engine, options))
            for options in (before, after)
        ]
        assert (recipes[0] != recipes[1]) == counts, node_name


SAMPLE_CHECKPOINTS = [
    (engine, option)
    for engine, option in CASES
    # A server is sent token ids, so it is always asked for completions, never for messages.
    if engine not in ("procedural", "import") and (engine, option) not in (("openai", "endpoint"), ("openai", "system"))
]


@pytest.mark.parametrize(("engine", "option"), SAMPLE_CHECKPOINTS)
@pytest.mark.parametrize(("node", "section"), [("ssft.generate", "evaluation"), ("gfpo.train", "rollouts")])
def test_the_same_holds_for_the_engines_that_sample_checkpoints(engine, option, node, section, nodes, settings):
    needed, value, counts = CHANGES[engine][option]
    before = {**BASE[engine], **needed}
    after = {**before, option: value}
    recipes = [recipe_of(nodes[node], completing(settings, section, engine, options)) for options in (before, after)]
    # The project names the model: it is the checkpoint.
    names_the_model = option in ("model", "checkpoint") or (engine, option) == ("ray", "options")
    assert (recipes[0] != recipes[1]) == (counts and not names_the_model)


def test_ray_passes_on_what_its_engine_says(nodes, settings):
    inner = [
        {"engine": "transformers", "options": {"chat": chat, "batch_rows": rows}}
        for chat, rows in ((0, 1), (0, 9), (1, 1))
    ]
    one, other_size, other_text = (
        recipe_of(nodes["ssft.generate"], completing(settings, "evaluation", "ray", options)) for options in inner
    )
    assert one == other_size
    assert one != other_text
    assert any(name.startswith("forkpipe.engines.transformers:") for name in one[0])


def test_a_file_that_moved_is_the_same_file(nodes, settings):
    moved = [{"path": f"{name}.jsonl"} for name in ("traces", "moved")]
    assert len({str(recipe_of(nodes["generate_traces"], with_teacher(settings, "import", one))) for one in moved}) == 1


class Unspoken:
    """An engine of a user's that does not say which options count."""

    version = "1"

    def __init__(self, *, model="m", temperature_floor=0.0):
        pass

    def generate(self, requests):
        yield from ()

    def samples_held(self, problem):
        return None

    def close(self):
        pass


def test_of_an_engine_without_identity_every_option_counts(nodes, settings):
    name = "test_options:Unspoken"
    for options in ({"temperature_floor": 0.1}, {"temperature_floor": 0.2}):
        assert "temperature_floor" in create_engine(name, options, "here").identity
    cases = {
        "generate_traces": lambda options: with_teacher(settings, name, options),
        "ssft.generate": lambda options: completing(settings, "evaluation", name, options),
        "gfpo.train": lambda options: completing(settings, "rollouts", name, options),
    }
    for node, raw in cases.items():
        first, second = (recipe_of(nodes[node], raw({"temperature_floor": value})) for value in (0.1, 0.2))
        assert first != second, node


def test_the_plan_says_how_the_engine_changed(nodes, settings):
    node = nodes["ssft.generate"]
    checked = [completing(settings, "evaluation", "transformers", {"chat": chat}) for chat in (False, True)]
    before, after = (Recipe(*recipe_of(node, raw)) for raw in checked)
    assert before.differences(after) == [
        "TransformersEngine 'transformers checkpoint main chat=False' is no longer used",
        "TransformersEngine 'transformers checkpoint main chat=True' is new",
    ]
