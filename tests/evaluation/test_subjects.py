"""Models that are measured: with their own tags, with given ones, with none; from a folder and from a hub."""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
import tracemalloc

import pyarrow.parquet as pq
import pytest
from measured_models import hashes, plain_model

from forkpipe.core.errors import InputError
from forkpipe.core.protocols import Asked, Protocol, Share, TagPolicy
from forkpipe.core.records import Completion, Problem, Sampling
from forkpipe.engines.transformers import TransformersEngine
from forkpipe.evaluation import benchmark_samples
from forkpipe.evaluation.benchmark_samples import ROWS_AT_A_TIME, Measurement, plan_samples, sample_subject
from forkpipe.evaluation.subjects import open_subject
from forkpipe.models.checkpoint import Checkpoint
from forkpipe.parameters import EngineSettings
from forkpipe.stores.completions import CompletionStore
from forkpipe.stores.tables import Batches, write_table

COMMIT = "0123456789" * 4
FORCED, OWN, NONE = Asked("forced", 1), Asked("own"), Asked("none")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return plain_model(tmp_path_factory.mktemp("plain") / "m")


def rows(n=1):
    made = [Problem.create(f"2 + {i}", str(i), answer_type="integer", source="b", source_id=str(i)) for i in range(n)]
    return [{**one.to_row(), "benchmark": "b", "prompt": one.problem, "subsets": []} for one in made]


def test_a_checkpoint_of_ours_is_asked_under_its_own_tags_or_without(base):
    subject = open_subject(str(base))
    assert subject.n_tags == 6
    assert subject.prefix(FORCED) == subject.tagged.tags.token_ids[1]
    assert subject.prefix(OWN) == subject.prefix(NONE) == ()
    # An engine bans tags only where it is asked under one.
    assert [subject.engine_tags(asked) for asked in (FORCED, OWN, NONE)] == [None, None, "none"]
    without = open_subject(str(base), tags="none")
    assert (without.n_tags, without.engine_tags(NONE)) == (0, None)
    assert without.digest == subject.digest


def test_given_tags_are_encoded_by_the_models_tokenizer(plain):
    before = hashes(plain)
    subject = open_subject(str(plain), tags="text:6")
    assert subject.n_tags == 6
    ids = subject.plain.encode("<|im_start|><think2>\n")
    assert subject.prefix(FORCED) == tuple(ids)
    assert [subject.engine_tags(asked) for asked in (FORCED, NONE)] == ["text:6", "none"]
    assert subject.prompt("2 + 2", FORCED) == subject.prompt("2 + 2", NONE)
    assert hashes(plain) == before


def test_a_template_that_opens_reasoning_leaves_its_place_to_the_tag(tmp_path):
    template = "{{ messages[0].content }}<|im_start|>assistant\n{% if add_generation_prompt %}<think>\n{% endif %}"
    subject = open_subject(str(plain_model(tmp_path / "m", template)), tags="text:2")
    assert subject.prompt("2 + 2", NONE).endswith("assistant\n<think>\n")
    assert subject.prompt("2 + 2", FORCED).endswith("assistant\n")


def test_tags_that_cannot_be_told_from_text_are_refused(plain, base):
    with pytest.raises(InputError, match=r"has no token for a part of"):
        open_subject(str(base), tags="text:6")
    with pytest.raises(InputError, match=r"tags is 'words:2', expected none or STYLE:N"):
        open_subject(str(plain), tags="words:2")


def test_tags_are_banned_from_texts_unless_the_model_is_asked_without(base):
    """A model whose most likely first token is a tag: without the ban, it writes one."""

    likely = Checkpoint(str(base)).tags.token_ids[0][0]
    measurement = Measurement([Share("b", 1)], [TagPolicy("none")], [Protocol("avg", 1)], Sampling(0.0, 1.0, 1))
    planned = plan_samples(open_subject(str(base)), rows(), measurement)[1]
    written = {}
    for tags in (None, "none"):
        engine = TransformersEngine(model=str(base), tags=tags)
        forward = engine._forward
        engine._forward = lambda *given, forward=forward: _favoured(forward(*given), likely)
        (completion,) = engine.generate([request for _, request in planned.values()])
        written[tags] = completion.token_ids
    assert written["none"] == (likely,)
    assert written[None] != (likely,)


def _favoured(result, token):
    cache, logits = result
    logits = logits.clone()
    logits[:, token] = 100.0
    return cache, logits


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves the files of one model as own/tiny."""

    files: dict[str, bytes] = {}  # noqa: RUF012

    def do_HEAD(self):
        self.do_GET(body=False)

    def do_GET(self, body=True):
        path = self.path.split("?")[0]
        for revision in ("main", "v1", COMMIT):
            if path == f"/api/models/own/tiny/revision/{revision}":
                siblings = [{"rfilename": name} for name in self.files]
                return self.reply(json.dumps({"id": "own/tiny", "sha": COMMIT, "siblings": siblings}).encode(), body)
            if path == f"/api/models/own/tiny/tree/{revision}":
                tree = [{"type": "file", "path": name, "size": len(it), "oid": "0"} for name, it in self.files.items()]
                return self.reply(json.dumps(tree).encode(), body)
        name = path.removeprefix(f"/own/tiny/resolve/{COMMIT}/")
        if name not in self.files:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound" if "api" in path else "EntryNotFound")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        return self.reply(self.files[name], body)

    def reply(self, content, body):
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *arguments):
        pass


def test_a_model_on_the_hub_is_the_same_as_its_folder(plain, tmp_path):
    """Its weights are fetched only where they are needed; a revision is told apart by its commit."""
    Hub.files = {path.name: path.read_bytes() for path in plain.iterdir()}
    script = """
import json, sys
from forkpipe.core.errors import InputError
from forkpipe.evaluation.subjects import open_subject
try:
    subject = open_subject(sys.argv[1], tags="text:2", weights=sys.argv[2] == "weights")
    names = sorted(path.name for path in subject.folder.iterdir())
    print(json.dumps([subject.n_tags, subject.digest, subject.commit, names]))
except InputError as error:
    print(json.dumps(str(error)))
"""

    def opened(name, weights, cache):
        environment = {
            **os.environ,
            "HF_ENDPOINT": address,
            "HF_HOME": str(tmp_path / cache),
            "HF_HUB_DISABLE_XET": "1",
        }
        done = subprocess.run(
            [sys.executable, "-c", script, name, weights], env=environment, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout.splitlines()[-1])

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        n_tags, digest, commit, names = opened("own/tiny@v1", "weights", "a")
        assert (n_tags, digest, commit) == (2, open_subject(str(plain)).digest, "")
        assert "model.safetensors" in names
        _, of_commit, commit, names = opened("own/tiny", "none", "b")
        assert (commit, "model.safetensors" in names) == (COMMIT, False)
        assert of_commit != digest
        assert "cannot be fetched from the hub" in opened("own/other", "weights", "c")
        server.shutdown()


class Long:
    """An engine that answers with many token ids."""

    version, identity, ids = "1", "long", tuple(range(1000, 4000))

    def generate(self, requests):
        for request in requests:
            yield Completion(request.request_id, text="x", token_ids=self.ids, tokens_out=3000)

    def close(self):
        pass


def test_samples_are_never_all_in_memory(plain, tmp_path, monkeypatch):
    """1,500 samples of 3,000 ids are 250 MB as Python objects; a quarter of that is never held."""
    monkeypatch.setattr(benchmark_samples, "create_completing", lambda *_: Long())
    subject = open_subject(str(plain))
    measurement = Measurement([Share("b", 150)], [TagPolicy("none")], [Protocol("avg", 150)], Sampling())
    store = CompletionStore(tmp_path / "c.jsonl")
    sizes = []

    def tables():
        for table in sample_subject(subject, rows(10), measurement, EngineSettings(), store):
            sizes.append(table.num_rows)
            yield table

    _ = subject.digest, subject.prompt("x", NONE)
    tracemalloc.start()
    write_table(str(tmp_path / "g.parquet"), "benchmark_generations", Batches(tables))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert max(sizes) == ROWS_AT_A_TIME
    assert sum(sizes) == pq.read_metadata(tmp_path / "g.parquet").num_rows == 1500
    assert peak < 60e6
