"""What the vLLM engine says before vLLM is loaded, or where it is missing."""

import importlib.util
import sys

import pytest

from byte_tokenizer import CHATML, byte_tokenizer
from forkpipe.core.errors import InputError
from forkpipe.core.plugins import create
from forkpipe.core.records import Request, Sampling
from forkpipe.engines.registry import ENGINES
from forkpipe.engines.transformers import TransformersEngine
from forkpipe.engines.vllm import VLLMEngine
from forkpipe.engines.vllm_model import check_vllm


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tensor_parallel": 0}, "tensor_parallel is 0, expected at least 1"),
        ({"data_parallel": -1}, "data_parallel is -1"),
        ({"max_num_seqs": 0}, "max_num_seqs is 0"),
        ({"gpu_memory_utilization": 1.5}, r"gpu_memory_utilization is 1\.5, expected above 0"),
        ({"system": "Be brief."}, "need chat: true"),
        ({"template_options": {"enable_thinking": False}}, "need chat: true"),
        ({"engine_args": {"trust_remote_code": True}}, "engine_args has 'trust_remote_code'"),
        ({"engine_args": {"generation_config": "auto"}}, "engine_args has 'generation_config'"),
    ],
)
def test_options_are_checked_at_once(options, said):
    with pytest.raises(InputError, match=said):
        VLLMEngine(model="m", **options)


def test_identity_has_what_changes_a_completion_and_nothing_else():
    def identity(**options):
        return VLLMEngine(model="m", **options).identity

    plain = identity()
    sizes = {"tensor_parallel": 2, "data_parallel": 2, "prefix_caching": False, "max_model_len": 99}
    sizes |= {"gpu_memory_utilization": 0.5, "max_num_seqs": 3, "enforce_eager": True}
    assert identity(**sizes) == plain
    changing = [
        {"revision": "r"},
        {"tokenizer": "t"},
        {"dtype": "float16"},
        {"chat": True},
        {"chat": True, "system": "s"},
        {"chat": True, "template_options": {"enable_thinking": False}},
        {"reasoning_parser": "deepseek_r1"},
        {"engine_args": {"quantization": "fp8"}},
    ]
    assert len({plain, *(identity(**one) for one in changing)}) == 1 + len(changing)


def saved(folder, template):
    tokenizer = byte_tokenizer(["a b"])
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_which_of_several_chat_templates_is_open_is_said_before_a_run_begins(tmp_path):
    several = saved(tmp_path / "several", {"tool_use": CHATML, "rag": CHATML})
    message = r"has chat templates tool_use, rag and none named default, expected one: choose it by options\.templ"
    with pytest.raises(InputError, match=message):
        VLLMEngine(model=several, chat=True).samples_held("")
    with pytest.raises(InputError, match=message):
        next(VLLMEngine(model=several, chat=True).generate([request()]))  # before vLLM starts
    with pytest.raises(InputError, match="tool_use, rag and none named default, expected one: name it default"):
        TransformersEngine(model=several, chat=True).samples_held("")
    for name in ("rag", CHATML):
        assert VLLMEngine(model=several, chat=True, template_options={"chat_template": name}).samples_held("") is None
    with pytest.raises(InputError, match="tool_use, rag and none named other"):
        VLLMEngine(model=several, chat=True, template_options={"chat_template": "other"}).samples_held("")
    assert VLLMEngine(model=several).samples_held("") is None  # prompts are sent as they are
    none = saved(tmp_path / "none", None)
    with pytest.raises(InputError, match="has no chat template, expected one: choose it by"):
        VLLMEngine(model="elsewhere", tokenizer=none, chat=True).samples_held("")
    default = saved(tmp_path / "default", {"default": CHATML, "rag": CHATML})
    for engine in (VLLMEngine(model=default, chat=True), TransformersEngine(model=default, chat=True)):
        assert engine.samples_held("") is None


def test_the_named_template_is_what_transformers_applies(tmp_path):
    tokenizer = byte_tokenizer(["a b"])
    tokenizer.chat_template = {"rag": "rag: {{ messages[0]['content'] }}", "tool_use": CHATML}
    asked = [{"role": "user", "content": "a"}]
    assert tokenizer.apply_chat_template(asked, tokenize=False, chat_template="rag") == "rag: a"


def request():
    return Request.create(
        problem_id="p", problem="a", asked_of="t", revision="", prompt="a", sample=0, sampling=Sampling()
    )


def test_a_missing_package_is_said_with_the_extra(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "vllm" else find(name))
    with pytest.raises(InputError, match=r"needs the package vllm, which is not installed: pip install 'forkpipe\[vl"):
        create("engine", ENGINES, "vllm", {"model": "m"}, "generation.teachers.big")


def test_a_missing_or_old_vllm_is_said_when_it_starts(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(InputError, match=r"engine 'vllm' needs the package vllm .*: pip install 'forkpipe\[vllm\]'"):
        check_vllm()
    old = type(sys)("vllm")
    old.__version__ = "0.9.2"
    monkeypatch.setitem(sys.modules, "vllm", old)
    with pytest.raises(InputError, match=r"needs vllm 0\.32 or newer, found 0\.9\.2"):
        check_vllm()
    old.__version__ = "0.101.0.dev3"
    check_vllm()
