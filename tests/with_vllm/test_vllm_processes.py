"""vLLM in processes of its own: replicas, and what is left when an engine is closed."""

import psutil
import pytest

from forkpipe.core.records import Request, Sampling
from forkpipe.engines.vllm import VLLMEngine

pytest_plugins = ["vllm_checkpoints"]


@pytest.fixture(autouse=True)
def own_processes(monkeypatch):
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")


def requests(n):
    return [
        Request.create(
            problem_id="p",
            problem="p",
            asked_of="m",
            revision="",
            prompt="3 ^ 5 mod 17",
            sample=i,
            sampling=Sampling(1.0, 0.95, 9),
            own_tag=i % 2 == 0,
        )
        for i in range(n)
    ]


def complete(engine, asked):
    found = {one.request_id: one for one in engine.generate(asked)}
    assert all((found[one.request_id].tag is not None) == one.own_tag for one in asked)
    return {request_id: (one.tag, one.token_ids) for request_id, one in found.items()}


def engine_processes():
    """Return the processes below this one that live, but for Python's tracker of shared memory, which stays."""
    living = [one for one in psutil.Process().children(recursive=True) if one.status() != psutil.STATUS_ZOMBIE]
    return {one.pid for one in living if "resource_tracker" not in " ".join(one.cmdline())}


@pytest.mark.parametrize("data_parallel", [1, 2])
def test_replicas_give_the_same_and_leave_nothing_behind(special, data_parallel):
    before = engine_processes()
    engine = VLLMEngine(model=str(special), dtype="float32", enforce_eager=True, data_parallel=data_parallel)
    asked = requests(10)
    found = complete(engine, asked)
    assert len(found) == 10
    assert len(engine_processes() - before) >= data_parallel
    # given up half-way and asked again
    half = engine.generate(asked)
    next(half)
    half.close()
    assert complete(engine, asked) == found
    engine.close()
    assert engine_processes() == before
