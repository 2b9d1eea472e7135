"""Services as sandboxes, against servers that speak their interfaces and run what they are sent."""

import json
import logging
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from forkpipe.core.errors import InputError
from forkpipe.sandbox import remote
from forkpipe.sandbox.base import Assertions, Call, Job, Limits
from forkpipe.sandbox.piston import Piston
from forkpipe.sandbox.sandbox_fusion import SandboxFusion

LIMITS = Limits(cpu_seconds=5.0, wall_seconds=10.0)


METHOD = "class Solution:\n    def f(self, x):\n        return Counter(x)"


def execute(script, stdin, seconds):
    try:
        done = subprocess.run(
            [sys.executable, "-c", script], input=stdin, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    return done


class Service(BaseHTTPRequestHandler):
    """Answers as SandboxFusion and Piston do, after as many failures as the server has left."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        if self.server.failures:
            self.send_response(self.server.failures.pop())
            self.end_headers()
            return
        if self.path == "/run_code":
            done = execute(body["code"], body["stdin"], body["run_timeout"])
            result = {"status": "TimeLimitExceeded"} if done is None else {
                "status": "Finished", "return_code": done.returncode, "stdout": done.stdout, "stderr": done.stderr,
            }  # fmt: skip
            answer = {"status": "Success", "run_result": result}
        else:
            done = execute(body["files"][0]["content"], body["stdin"], body["run_timeout"] / 1000)
            result = {"status": "TO", "signal": "SIGKILL"} if done is None else {
                "code": done.returncode, "signal": None, "stdout": done.stdout, "stderr": done.stderr,
            }  # fmt: skip
            answer = {"run": result, "language": "python"}
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.01)
    made = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    made.asked, made.failures = [], []
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture(params=[SandboxFusion, Piston])
def service(server, request):
    return request.param(url=f"http://127.0.0.1:{server.server_port}", workers=2)


def test_programs_calls_and_endings(service):
    jobs = [
        Job(("x x", "print(sum(map(int, input().split())))"), b"1 2\n", limits=LIMITS),
        Job(("def f(x):\n    print('noise')\n    return (x, {2.5})",), call=Call("f", "[[1]]"), limits=LIMITS),
        Job((METHOD,), call=Call("f", '[["aab"]]'), prelude=True),
        Job(("raise KeyError(1)",), limits=LIMITS),
        Job(("import sys\nprint(3)\nsys.exit(1)",), limits=LIMITS),
        Job(("import time\ntime.sleep(60)",), limits=Limits(1.0, 1.0)),
        Job(("x x",), limits=LIMITS),
    ]  # fmt: skip
    runs = service.run(jobs)
    assert (runs[0].status, runs[0].stdout, runs[0].program) == ("exited", b"3\n", 1)
    assert json.loads(runs[1].report) == {"values": [{"value": {"t": [1, {"s": [2.5]}]}}]}
    assert json.loads(runs[2].report) == {"values": [{"value": {"d": [["a", 2], ["b", 1]]}}]}
    assert (runs[3].status, runs[3].detail) == ("error", "KeyError")
    assert (runs[4].status, runs[4].stdout) == ("exited", b"3\n")
    assert runs[5].status == "wall"
    assert (runs[6].status, runs[6].detail, runs[6].program) == ("error", "SyntaxError", -1)


def test_a_service_that_does_not_isolate_is_named(service, caplog):
    with caplog.at_level(logging.WARNING, logger="forkpipe"):
        service.run([Job(("print(1)",), limits=LIMITS)])
    assert "does not isolate what it runs" in caplog.text


def test_a_service_that_fails_is_asked_again(service, server):
    service.run([Job(("print(1)",), limits=LIMITS)])
    server.failures += [429, 503]
    assert service.run([Job(("print(1)",), limits=LIMITS)])[0].stdout == b"1\n"


@pytest.mark.parametrize(("statuses", "said"), [([500] * 50, "answered 500"), ([403] * 50, "answered 403")])
def test_a_service_that_keeps_failing_is_no_programs_fault(service, server, statuses, said):
    server.failures += statuses
    done = service.run([Job(("print(1)",), limits=LIMITS)])[0]
    assert (done.status, said in done.detail) == ("broken", True)


def test_only_what_a_program_may_know_goes_out(service, server):
    service.run([Job(("print(1)",), assertions=Assertions("f", "", "assert f(1) == 86028157"), limits=LIMITS)])
    assert not any("86028157" in json.dumps(body) for body in server.asked)


def test_nobody_listens():
    done = Piston(url="http://127.0.0.1:9")
    remote.FIRST_PAUSE, before = 0.01, remote.FIRST_PAUSE
    try:
        assert done.run([Job(("print(1)",))])[0].status == "broken"
    finally:
        remote.FIRST_PAUSE = before


def test_a_wrong_address_is_named():
    with pytest.raises(InputError, match="url is 'localhost', expected the address"):
        SandboxFusion(url="localhost")
