"""A key is sent to its server and is written nowhere: not to a log, a table, an id, a message."""

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fault_server import FaultServer

from forkpipe.core.errors import InputError
from forkpipe.core.records import Request, Sampling
from forkpipe.engines import keys
from forkpipe.engines.openai import OpenAIEngine

ROOT = Path(__file__).parents[2]
KEY = "sk-test-0123456789abcdef"


def asked():
    return [
        Request.create(problem_id="p", problem="", asked_of="m", revision="", prompt="q", sample=0, sampling=Sampling())
    ]


def test_a_key_of_the_environment_is_sent_and_said_nowhere(monkeypatch, caplog):
    """The server echoes the key in its errors, and the libraries below log all they do."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", KEY)
    with FaultServer(fault=lambda number, body: "500") as server:
        engine = OpenAIEngine(model="m", base_url=server.url, api_key_env="MY_KEY", attempts=2, backoff=0.01)
        (done,) = engine.generate(asked())
        assert server.authorizations == {f"Bearer {KEY}"}
    assert "you sent 'Bearer ***'" in done.error
    assert KEY not in caplog.text + repr(done) + engine.identity
    with FaultServer(fault=lambda number, body: "401") as server, pytest.raises(InputError) as caught:
        list(OpenAIEngine(model="m", base_url=server.url, api_key_env="MY_KEY").generate(asked()))
    assert KEY not in str(caught.value)
    assert KEY not in caplog.text


def test_a_key_that_nobody_named_is_not_sent(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with FaultServer() as server:
        (done,) = OpenAIEngine(model="m", base_url=server.url).generate(asked())
        assert done.finish_reason == "stop"
        assert server.authorizations == {"Bearer none"}


def test_a_key_that_is_missing_is_asked_for_when_it_is_needed(monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    monkeypatch.setattr(keys, "_provided", lambda: {"other": {"api_key": KEY}, "half": {}})
    engine = OpenAIEngine(model="m", base_url="http://a/v1", api_key_env="MY_KEY")  # a plan needs none
    with pytest.raises(InputError, match="MY_KEY, which is not set"):
        engine.samples_held("")
    for name in ("mine", "half"):
        with pytest.raises(InputError, match=rf"credentials names '{name}', expected it in conf/local"):
            OpenAIEngine(model="m", base_url="http://a/v1", credentials=name).samples_held("")


def test_a_key_of_the_credentials_reaches_the_server_and_no_file(tmp_path):
    left_out = shutil.ignore_patterns("__pycache__", "*.egg-info", "local")
    for name in ("conf", "src"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=left_out)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    environment = tmp_path / "conf" / "served"
    environment.mkdir()
    shutil.copy(ROOT / "conf" / "smoke" / "catalog.yml", environment)
    (environment / "credentials.yml").write_text(f"my_server: {{api_key: {KEY}}}\n")
    with FaultServer(fault=lambda number, body: "400" if number % 4 == 0 else None) as server:
        (environment / "parameters_generation.yml").write_text(
            "generation:\n  use: [served]\n  teachers:\n    served:\n      engine: openai\n"
            f"      options: {{model: m, base_url: {server.url}, credentials: my_server}}\n"
        )
        done = subprocess.run(
            [sys.executable, "-m", "kedro", "run", "--env=served", "--pipelines=trace_generation",
             "--to-nodes=generate_traces"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, "KEDRO_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert server.authorizations == {f"Bearer {KEY}"}
        assert server.faults["400"] > 10  # each was told the key
    written = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert any("trace_store" in str(path) for path in written)
    assert any(b"you sent 'Bearer ***'" in path.read_bytes() for path in written)
    assert not [path for path in written if KEY.encode() in path.read_bytes()]
    assert KEY not in done.stdout + done.stderr
