"""The environments for GPUs hold together where there is no GPU, no vLLM and no network."""

import importlib.util
import math
import os
import re
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants as hub_constants
from kedro.io import DataCatalog, DatasetError, MemoryDataset

from forkpipe.core.hub import pinned
from forkpipe.core.records import Request, Sampling
from forkpipe.datasets.sources import SourcesDataset
from forkpipe.engines.imported import ImportEngine
from forkpipe.engines.registry import create_engines
from forkpipe.engines.vllm import VLLMEngine
from forkpipe.parameters import check_parameters
from forkpipe.pipeline_registry import register_pipelines
from forkpipe.preflight import check_run
from forkpipe.problems.raw_rows import normalise_problems
from test_end_to_end import ENVIRONMENT, Project
from test_parameters import parameters
from test_project import catalog as catalog_config

ENVIRONMENTS = ["pretrained_gpu", "single_gpu", "paper", "openr1"]


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Ask no hub, and wait for none."""
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)


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
    given = check_parameters(parameters(environment)).problems
    if given.sources:
        made["raw_problems"] = SourcesDataset.of(given, made)
    return made


def test_all_pipelines_and_settings_go_together(catalog, with_vllm):
    pipelines = register_pipelines()
    for pipeline in pipelines.values():
        assert [one for one in pipeline.datasets() if not one.startswith("param") and one not in catalog] == []
    check_run(catalog, pipelines["__default__"].nodes)


def test_teachers_are_files_or_vllm_with_room_for_what_is_asked(environment, with_vllm):
    generation = check_parameters(parameters(environment)).generation
    engines = create_engines(generation.asked)
    assert {type(engine) for engine in engines.values()} <= {VLLMEngine, ImportEngine}
    assert len({engine.identity for engine in engines.values()}) == len(engines)
    for name, teacher in generation.asked.items():
        # a prompt of a thousand tokens at least
        room = teacher.options["max_model_len"] if isinstance(engines[name], VLLMEngine) else math.inf
        assert room >= teacher.sampling.max_tokens + 1000


def test_students_learn_what_teachers_may_write(environment):
    """A trace that is longer than supervised.max_length would stop the training."""
    checked = check_parameters(parameters(environment))
    longest = max(teacher.sampling.max_tokens for teacher in checked.generation.asked.values())
    assert checked.supervised.max_length >= longest + 1000


def test_missing_files_are_named_with_what_to_fetch():
    entries = {name: value for name, value in catalog_config("single_gpu").items() if name[0] != "_"}
    with pytest.raises(DatasetError) as caught:
        DataCatalog.from_config(entries).load("raw_problems")
    assert re.search("no such file; fetch .* and put it there", str(caught.value.__cause__))


S1K = {
    "solution": "The answer is $\\boxed{7}$.", "question": "How many? {}", "cot_type": "math", "source_type": "own",
    "metadata": "{}", "gemini_thinking_trajectory": "gemini thinks {}", "gemini_attempt": "gemini: \\boxed{7}",
    "deepseek_thinking_trajectory": "deepseek thinks {}", "deepseek_attempt": "deepseek: \\boxed{7}",
    "gemini_grade": "Yes", "gemini_grade_reason": "", "deepseek_grade": "Yes", "deepseek_grade_reason": "",
}  # fmt: skip
DAPO = {
    "prompt": "How much? {}", "solution": "12", "data_source": "math_dapo", "ability": "MATH",
    "source_prompt": [{"content": "Solve. How much?", "role": "user"}],
    "reward_model": {"ground_truth": "12", "style": "rule"}, "extra_info": {"index": "x{}"},
}  # fmt: skip
OPENR1 = {
    "problem": "Which one? {}", "solution": "It is B.", "answer": "B", "problem_type": "Algebra",
    "question_type": "MCQ", "source": "olympiads", "uuid": "u{}", "is_reasoning_complete": [True, False, True],
    "generations": ["<think>one {}</think>\\boxed{B}", "<think>cut", "<think>two {}</think>\\boxed{B}"],
    "correctness_math_verify": [True, False, True], "correctness_llama": [None, None, None],
    "finish_reasons": ["stop", "length", "stop"], "correctness_count": 2,
    "messages": [{"role": "user", "content": "Which one?"}],
}  # fmt: skip
"""A row with the columns and types of each data set that the environments name, {} for the row's number."""
ROWS = {"s1K-1.1": S1K, "DAPO-Math-17k-Processed": DAPO, "OpenR1-Math-220k": OPENR1}


def numbered(value, number):
    if isinstance(value, dict):
        return {key: numbered(inner, number) for key, inner in value.items()}
    if isinstance(value, list):
        return [numbered(inner, number) for inner in value]
    return value.replace("{}", f"#{number}") if isinstance(value, str) else value


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The cache of the hub with rows of our own under the pinned commits; data sets of several files have two."""
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path))

    def put(path, rows):
        named = pinned(path)
        folder = tmp_path / f"datasets--{named.repository.replace('/', '--')}" / "snapshots" / named.commit
        names = [named.file.replace("*", f"{number:05d}") for number in range(2 if "*" in named.file else 1)]
        for number, name in enumerate(names):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            share = rows[number * len(rows) // len(names) : (number + 1) * len(rows) // len(names)]
            pq.write_table(pa.Table.from_pylist(share), folder / name)

    return put


@pytest.mark.parametrize("environment", ["paper", "openr1"])
def test_sources_and_published_traces_are_read_as_their_data_sets_have_them(environment, hub, with_vllm):
    """Each data set of the hub is replaced by rows of ours with the same columns."""
    checked = check_parameters(parameters(environment))
    for source in checked.problems.sources.values():
        name = pinned(source.file).repository.split("/")[1]
        hub(source.file, [numbered(ROWS[name], number) for number in range(40)])
    raw = SourcesDataset.of(checked.problems, DataCatalog({})).load()
    rows, rejected = normalise_problems(raw, checked.problems, checked.verification)
    assert (len(rows), rejected) == (80, [])
    by_source = {name: [row for row in rows if row["source"] == name] for name in checked.problems.sources}
    first, dapo = list(by_source.values())
    assert {row["split"] for row in first} == {"train"}
    assert {row["split"] for row in dapo} >= {"rl"}
    assert {row["answer"] for row in dapo} == {"12"}
    assert {(row["answer_type"]) for row in first} == {"math" if environment == "paper" else "choice"}
    assert all("thinks" not in row["metadata"] and "generations" not in row["metadata"] for row in rows)

    engines = create_engines({name: it for name, it in checked.generation.asked.items() if it.engine == "import"})
    held = {name: engine.samples_held(first[3]["problem"]) for name, engine in engines.items()}
    assert held == ({"deepseek_r1": 1, "gemini_flash_thinking": 1} if environment == "paper" else {"deepseek_r1": 2})
    request = Request.create(
        problem_id="p", problem=first[3]["problem"], asked_of="t", revision="", prompt="p", sample=0,
        sampling=Sampling(),
    )  # fmt: skip
    (trace,) = engines["deepseek_r1"].generate([request])
    assert trace.text.endswith("\\boxed{7}" if environment == "paper" else "\\boxed{B}")
    assert (trace.reasoning or trace.text).count("#3") == 1


@pytest.mark.parametrize("environment", ["paper", "openr1"])
def test_a_plan_needs_no_hub_and_no_gpu(environment, tmp_path):
    """The command itself, where nothing was fetched and vllm is a name alone."""
    (tmp_path / "packages/vllm").mkdir(parents=True)
    (tmp_path / "packages/vllm/__init__.py").write_text("raise AssertionError('a plan loads no vllm')")
    project = Project(tmp_path)
    path = os.pathsep.join([str(tmp_path / "packages"), *filter(None, [os.environ.get("PYTHONPATH")])])
    offline = {**ENVIRONMENT, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    command = [sys.executable, "-m", "kedro", "plan", f"--env={environment}"]
    done = subprocess.run(command, cwd=tmp_path, env=offline, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "run   load_benchmarks: benchmark_problems is not there" in done.stdout + done.stderr
    assert "run   make_report: report is not there" in done.stdout + done.stderr
    assert project.folder == tmp_path
    assert not (tmp_path / "hub").exists()
