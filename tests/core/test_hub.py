"""Files of the hub at a commit, from a server that speaks the part of the hub's protocol that fetching needs."""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading

import pytest

from forkpipe.core.file_digests import file_digest
from forkpipe.core.hub import pinned, unreachable
from forkpipe.core.read_rows import file_exists

COMMIT, OTHER = "0123456789" * 4, "abcdef0123" * 4
PATH = f"hf://datasets/own/numbers@{COMMIT}/data/part-0.jsonl"
FILES = {"data/part-0.jsonl": b'{"n": 1}\n{"n": 2}\n', "data/part-1.jsonl": b'{"n": 3}\n', "README.md": b"# Numbers\n"}


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves FILES of one repository; `commit` is what it says that it serves, `asked` what was asked for."""

    commit = COMMIT
    asked: list[str] = []  # noqa: RUF012

    def do_HEAD(self):
        self.do_GET(body=False)

    def do_GET(self, body=True):
        if "own/numbers" in self.path:  # the client asks for other things too
            type(self).asked.append(f"{self.command} {self.path}")
        path = self.path.split("?")[0]
        if path == f"/api/datasets/own/numbers/revision/{COMMIT}":
            siblings = [{"rfilename": name} for name in FILES]
            return self.reply(
                json.dumps({"id": "own/numbers", "sha": self.commit, "siblings": siblings}).encode(), body
            )
        if path == f"/api/datasets/own/numbers/tree/{COMMIT}":
            tree = [{"type": "file", "path": name, "size": len(it), "oid": "0"} for name, it in FILES.items()]
            return self.reply(json.dumps(tree).encode(), body)
        name = path.removeprefix(f"/datasets/own/numbers/resolve/{COMMIT}/")
        if name not in FILES:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("X-Repo-Commit", self.commit)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        return self.reply(FILES[name], body)

    def reply(self, content, body):
        self.send_response(200)
        self.send_header("X-Repo-Commit", self.commit)
        self.send_header("ETag", f'"{hash(content) % 10**12}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(tmp_path):
    """Return a function that reads rows in a fresh process, which knows this hub alone."""
    Hub.commit, Hub.asked = COMMIT, []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"

        def read(path, **more):
            code = "import sys; from forkpipe.core.read_rows import read_rows; print(*read_rows(sys.argv[1]))"
            home = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1", **more}
            command = [sys.executable, "-c", code, path]
            done = subprocess.run(command, env={**os.environ, **home}, capture_output=True, text=True, check=False)
            return done.stdout.strip() or done.stderr.strip().splitlines()[-1]

        yield read
        server.shutdown()


def test_a_file_is_fetched_once_and_then_needs_no_hub(hub):
    assert hub(PATH) == "(1, {'n': 1}) (2, {'n': 2})"
    assert f"GET /datasets/own/numbers/resolve/{COMMIT}/data/part-0.jsonl" in Hub.asked
    Hub.asked.clear()
    assert hub(PATH, HF_HUB_OFFLINE="1") == hub(PATH) == "(1, {'n': 1}) (2, {'n': 2})"
    assert Hub.asked == []


def test_a_pattern_is_all_its_files_in_order(hub):
    path = PATH.replace("part-0", "part-*")
    assert hub(path) == "(1, {'n': 1}) (2, {'n': 2}) (3, {'n': 3})"
    assert not any("README" in asked for asked in Hub.asked)


def test_what_the_hub_has_not_is_named(hub):
    assert f"InputError: hf://datasets/own/numbers@{COMMIT}/data/part-7.jsonl: cannot be fetched: 404" in hub(
        PATH.replace("part-0", "part-7")
    )
    assert hub(PATH.replace("part-0", "x-*")).endswith("x-*.jsonl: no such file")


def test_a_hub_that_cannot_be_reached_is_tried_once(hub):
    away = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    line = hub(PATH, **away)
    assert "cannot be fetched: http://127.0.0.1:9 cannot be reached (" in line
    assert "Retry" not in line
    assert hub(PATH) == hub(PATH, **away) == "(1, {'n': 1}) (2, {'n': 2})"


def test_a_hub_that_does_not_answer_is_waited_for_once(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("forkpipe.core.hub.SECONDS", 0.2)
        assert "cannot be reached" in unreachable()
        silent.setblocking(False)
        silent.accept()[0].close()
        assert "cannot be reached" in unreachable()
        with pytest.raises(BlockingIOError):  # nobody asked again
            silent.accept()
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        assert not unreachable()


def test_another_commit_is_refused(hub):
    Hub.commit = OTHER
    assert hub(PATH).endswith(f"the hub answered with commit {OTHER}, expected {COMMIT}")


def test_a_pinned_path_is_compared_by_its_text_and_asks_nobody(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert file_exists(PATH)
    assert file_digest(PATH) == file_digest(PATH) != file_digest(PATH.replace(COMMIT, OTHER))
    for moving in ("hf://datasets/own/numbers@main/x.jsonl", "hf://datasets/own/numbers/x.jsonl", "data/x.jsonl"):
        assert pinned(moving) is None
