"""What the parameters and the catalog name outside the project: the folder of a model, the commit of a repository."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from huggingface_hub import constants
from kedro_datasets.huggingface import HFDataset

from forkpipe.outside import refers_to
from forkpipe.parameters import ModelSettings

NODE = "make_base_checkpoint"


@pytest.fixture
def no_hub(tmp_path, monkeypatch):
    """A hub that cannot be reached, and the folder of its cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    return tmp_path


def test_a_model_in_a_folder_is_its_files(tmp_path):
    settings = ModelSettings(source=str(tmp_path))
    assert refers_to(NODE, "params:model", settings) == {"folder": str(tmp_path)}
    assert refers_to("sft.train", "params:model", settings) == {}  # it reads the prompt alone
    assert refers_to(NODE, "params:model", ModelSettings()) == {}


def test_without_a_hub_its_cache_tells_the_commit(no_hub):
    settings = ModelSettings(source="org/name", revision="v1")
    assert refers_to(NODE, "params:model", settings) == {}
    refs = no_hub / "models--org--name/refs"
    refs.mkdir(parents=True)
    (refs / "v1").write_text("c" * 40)
    assert refers_to(NODE, "params:model", settings) == {"commit": "c" * 40}
    whole = ModelSettings(source="org/name", revision="d" * 40)
    assert refers_to(NODE, "params:model", whole) == {"commit": "d" * 40}


def test_the_hub_tells_the_commit_of_a_data_set(no_hub, monkeypatch):
    asked = []

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = json.dumps({"id": "org/name", "sha": "e" * 40}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        dataset = HFDataset(dataset_name="org/name", dataset_kwargs={"revision": "v2"})
        assert refers_to("normalise_problems", "raw_problems", dataset) == {"commit": "e" * 40}
        server.shutdown()
    assert len(asked) == 1
    assert asked[0].startswith("/api/datasets/org/name/revision/v2")
    assert refers_to("normalise_problems", "raw_problems", HFDataset(dataset_name="csv")) == {}
