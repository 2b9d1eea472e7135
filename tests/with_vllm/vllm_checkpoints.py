"""Small checkpoints of both tag styles, and vLLM's own server. All is skipped where vllm is not installed.

A plugin that the tests beside it name, and no conftest.py: other tests import what stands in the one of the project.
"""

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

INSTALLED = importlib.util.find_spec("vllm") is not None
HERE = Path(__file__).parent

if INSTALLED:
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    # In this process: a start takes 4 s in place of 30. Tests of processes set it to 1.
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in Path(item.path).parents:
            item.add_marker(pytest.mark.vllm)
            if not INSTALLED:
                item.add_marker(pytest.mark.skip(reason="vllm is not installed: make test-vllm"))


def likely_tags(model, ids):
    """Make tokens likely at many positions: their output rows point where last hidden states do on average."""
    import torch

    with torch.no_grad():
        probe = torch.randint(0, model.config.vocab_size, (8, 24), generator=torch.Generator().manual_seed(0))
        states = model.model(input_ids=probe).last_hidden_state.flatten(0, 1)
        head = model.get_output_embeddings().weight
        for place, token in enumerate(ids):
            head[token] = 2 * states.mean(dim=0) / states.mean(dim=0).norm() + 0.05 * head[place]


@pytest.fixture(scope="session")
def special(tmp_path_factory, trace_sets) -> Path:
    """A Llama with six special tags, which it would write at many places."""
    from forkpipe.models.base_model import make_base_model
    from forkpipe.models.checkpoint import load_checkpoint
    from forkpipe.parameters import Architecture, ModelSettings, TagSettings

    folder = tmp_path_factory.mktemp("special") / "checkpoint"
    # vLLM's attention on a CPU takes heads of 32 and more.
    size = Architecture(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, intermediate_size=128,
        max_position_embeddings=128,
    )  # fmt: skip
    sets = trace_sets(20)
    texts = [" ".join(map(str, range(100))), sets[0].problem, *(trace.text for one in sets for trace in one.traces)]
    make_base_model(folder, ModelSettings(architecture=size), TagSettings(), texts, seed=0)
    model, _, tags = load_checkpoint(folder)
    likely_tags(model, [ids[0] for ids in tags.token_ids])
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def text(tmp_path_factory, trace_sets) -> Path:
    """A Qwen2 with the paper's tags of existing tokens, whose first it would write at many places."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from byte_tokenizer import byte_tokenizer
    from forkpipe import add_tags
    from forkpipe.models.checkpoint import save_checkpoint

    folder = tmp_path_factory.mktemp("text") / "checkpoint"
    tokenizer = byte_tokenizer([trace.text for one in trace_sets(8) for trace in one.traces])
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=False, max_position_embeddings=256,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
        )
    )  # fmt: skip
    tags = add_tags(model, tokenizer, n=6, style="text")
    likely_tags(model, [tags.token_ids[0][0]])
    save_checkpoint(folder, model, tokenizer, tags, base="test", revision="1")
    return folder


@pytest.fixture(scope="session")
def start_server(tmp_path_factory):
    """A function that starts vLLM's OpenAI-compatible server for a model folder and returns its URL (to /v1)."""
    running = []

    def start(model: Path, *arguments: str) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        log = tmp_path_factory.mktemp("server") / "log.txt"
        command = [
            *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)),
            *("--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--enforce-eager"),
            # On a CPU vLLM dies when it splits the prompt of a request that has a seed.
            *("--no-enable-chunked-prefill", *arguments),
        ]
        with log.open("w") as file:
            process = subprocess.Popen(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                # vLLM's server keeps its engine in a process of its own.
                env={**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "1"},
            )
        running.append(process)
        url = f"http://127.0.0.1:{port}"
        for _ in range(400):
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with {process.returncode}:\n{log.read_text()[-4000:]}")
            try:
                urllib.request.urlopen(f"{url}/health", timeout=2)
                return f"{url}/v1"
            except (urllib.error.URLError, OSError):
                time.sleep(1)
        raise RuntimeError(f"the server is not ready after 400 s:\n{log.read_text()[-4000:]}")

    yield start
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture(scope="session")
def server(start_server, special) -> str:
    """The URL of a server with the checkpoint `special`."""
    return start_server(special)
