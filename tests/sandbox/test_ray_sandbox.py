"""Sandboxes on Ray actors, on a Ray of this machine: `pip install 'forkpipe[ray]'`."""

import os

import pytest
from surroundings import HONEST, why_unavailable

from forkpipe.core.errors import InputError
from forkpipe.sandbox.base import Sandbox
from forkpipe.verification.code.verifier import CodeVerifier

ray = pytest.importorskip("ray", reason="needs ray: pip install 'forkpipe[ray]'")

from forkpipe.sandbox.ray import RaySandbox  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def cluster():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    yield
    ray.shutdown()


def test_programs_run_on_actors_and_a_lost_actor_is_replaced():
    if why := why_unavailable("auto"):
        pytest.skip(why)
    sandbox = RaySandbox(actors=2)
    assert isinstance(sandbox, Sandbox)
    assert [run.stdout for run in sandbox.run([HONEST] * 6)] == [b"3\n"] * 6
    ray.kill(sandbox._pool[0])
    assert [run.stdout for run in sandbox.run([HONEST] * 6)] == [b"3\n"] * 6
    sandbox.close()
    assert ray.is_initialized()  # it was there before


def test_a_verifier_takes_it_by_its_name():
    if why := why_unavailable("auto"):
        pytest.skip(why)
    verifier = CodeVerifier(backend="ray", service={"actors": 1})
    tests = '{"version": 1, "language": "python", "kind": "stdin", "cases": [{"input": "1 2", "output": "3"}]}'
    response = f"```\n{HONEST.programs[0]}\n```"
    assert [one.verdict for one in verifier.verify([tests] * 2, [response, "```\nprint(1)\n```"], [False] * 2)] == [
        "correct", "wrong",
    ]  # fmt: skip
    verifier.close()


def test_wrong_arguments_are_named():
    with pytest.raises(InputError, match="actors is 0, expected at least 1"):
        RaySandbox(actors=0)
    with pytest.raises(InputError, match="backend is 'x'"):
        RaySandbox(options={"backend": "x"})
