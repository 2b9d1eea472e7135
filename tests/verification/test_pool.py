"""Worker processes: what is lost when one dies, and from where they can be used."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty
from typing import Any

import pytest

import forkpipe
from forkpipe.core.errors import InputError
from forkpipe.core.records import Verdict
from forkpipe.verification import pool as pool_module
from forkpipe.verification.math import MathVerifier
from forkpipe.verification.pool import WorkerPool

GOLD = ["x/2", "x/2", "x(x+1)", "5 cm"]
RESPONSES = [r"\boxed{0.5x}", r"\boxed{0.25x}", r"\boxed{x^2+x}", r"\boxed{5}"]
EXPECTED = ["correct", "wrong", "correct", "correct"]


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    made = MathVerifier()
    yield made
    made.close()


def verdicts(verifier: MathVerifier) -> list[str]:
    return [verdict.verdict for verdict in verifier.verify(GOLD, RESPONSES, [False] * len(GOLD))]


def workers(pool: WorkerPool) -> list[Any]:
    """Return the idle workers of a pool."""
    found = []
    while True:
        try:
            found.append(pool._team.idle.get_nowait())
        except Empty:
            break
    for worker in found:
        pool._team.idle.put(worker)
    return found


def test_a_worker_that_dies_takes_one_verdict_with_it() -> None:
    made = MathVerifier(workers=1, timeout_seconds=20)
    try:
        assert verdicts(made) == EXPECTED
        killer = threading.Timer(0.3, os.kill, (workers(made._pool)[0].child, signal.SIGKILL))
        killer.start()
        found = made.verify(["3", "x/3"], [r"\boxed{9^{9^{9^{9}}}}", r"\boxed{\frac{2x}{6}}"], [False, False])
        assert found[0] == Verdict("timeout", "9^{9^{9^{9}}}", "worker-died", "box")
        assert found[1].verdict == "correct"
    finally:
        made.close()


def test_a_worker_that_died_idle_is_noticed_when_it_is_asked() -> None:
    made = MathVerifier(workers=1)
    try:
        assert verdicts(made) == EXPECTED
        os.killpg(made._pool._team._processes[0].pid, signal.SIGKILL)
        asked = [made.verify(["x/5"], [r"\boxed{0.2x}"], [False])[0] for _ in range(2)]
        assert [verdict.verdict for verdict in asked] == ["timeout", "correct"]  # a death is not remembered
    finally:
        made.close()


def test_memory_is_bounded_and_its_want_is_a_timeout() -> None:
    made = MathVerifier(workers=1, memory_mb=700, timeout_seconds=3)
    try:
        found = made.verify(["3"], [r"\boxed{(10^{7})! + 3}"], [False])[0]
        assert found.verdict in ("timeout", "wrong", "unparsed")
        assert made.verify(["x/3"], [r"\boxed{2x/6}"], [False])[0].verdict == "correct"
    finally:
        made.close()


def test_closed_means_closed_until_needed(verifier: MathVerifier) -> None:
    made = MathVerifier(workers=1)
    assert verdicts(made) == EXPECTED
    process = made._pool._team._processes[0]
    made.close()
    assert process.poll() is not None
    made.close()
    assert made.verify(["x/7"], [r"\boxed{2x/14}"], [False])[0].verdict == "correct"
    made.close()


def test_threads_and_async_code_get_the_same_verdicts(verifier: MathVerifier) -> None:
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: verdicts(verifier), range(8))) == [EXPECTED] * 8

    async def together() -> list[list[str]]:
        return await asyncio.gather(*(asyncio.to_thread(verdicts, verifier) for _ in range(4)))

    assert asyncio.run(together()) == [EXPECTED] * 4


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_daemonic_processes_get_the_same_verdicts(method: str) -> None:
    """multiprocessing's pool runs daemons, which may not have children by multiprocessing."""
    assert in_process() == EXPECTED  # a fork inherits a verifier whose workers it must not use
    with multiprocessing.get_context(method).Pool(1) as processes:  # type: ignore[attr-defined]
        assert processes.apply(in_process) == EXPECTED


def in_process() -> list[str]:
    return [verdict.verdict for verdict in forkpipe.verify_batch(list(zip(GOLD, RESPONSES, strict=True)), workers=1)]


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import forkpipe\nprint(forkpipe.verify('x/2', r'\\boxed{0.5x}', workers=1).verdict)\n")
    source = str(Path(forkpipe.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": source}
    )
    assert (done.stdout, done.stderr) == ("correct\n", "")


@pytest.mark.parametrize("busy", [False, True])
def test_workers_end_with_their_owner(tmp_path: Path, busy: bool) -> None:
    """Also when it is killed amid a comparison: the worker's own limit ends that, and nothing takes its place."""
    script = tmp_path / "script.py"
    script.write_text(
        (
            "import os, threading, time, forkpipe\n"
            "from forkpipe.verification.math import MathVerifier\n"
            "made = MathVerifier(workers=1, timeout_seconds=1.0)\n"
            "made.verify(['x/2'], [r'\\boxed{0.5x}'], [False])\n"
            "print(made._pool._team._processes[0].pid, flush=True)\n"
            "if BUSY:\n"
            "    asked = (['3'], [r'\\boxed{9^{9^{9^{9}}}}'], [False])\n"
            "    threading.Thread(target=made.verify, args=asked, daemon=True).start()\n"
            "    time.sleep(0.5)\n"
            "os.kill(os.getpid(), 9)\n"
        ).replace("BUSY", str(busy))
    )
    source = str(Path(forkpipe.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": source}
    )
    worker = Path(f"/proc/{int(done.stdout)}")
    for _ in range(300):
        if not worker.exists() or " Z " in (worker / "stat").read_text():
            return
        time.sleep(0.1)
    pytest.fail("the worker lives on")


def test_a_limit_of_processor_time_does_not_count_waiting() -> None:
    """A worker that is stopped for longer than its limit, as on a busy machine, gives the verdict all the same."""
    made = MathVerifier(workers=1, timeout_seconds=1.0)
    try:
        assert verdicts(made) == EXPECTED
        child = workers(made._pool)[0].child
        os.kill(child, signal.SIGSTOP)
        going_on = threading.Timer(2.5, os.kill, (child, signal.SIGCONT))
        going_on.start()
        assert made.verify(["x/7"], [r"\boxed{2x/14}"], [False])[0].verdict == "correct"
        assert workers(made._pool)[0].child == child
    finally:
        made.close()


def test_what_exceeds_its_time_is_asked_once_more_after_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, asked = WorkerPool(0.3, 1, 2048, []), []
    ask = pool._ask

    def recorded(team: Any, pair: Any) -> Any:
        asked.append(pair)
        return ask(team, pair)

    monkeypatch.setattr(pool, "_ask", recorded)
    try:
        hangs, others = ("3", "9^{9^{9^{9}}}"), [("x", "x"), ("x", "y")]
        assert [finding.name for finding in pool.compare([hangs, *others])] == ["timeout", "equal", "different"]
        assert asked == [hangs, *others, hangs]
    finally:
        pool.close()


def test_workers_that_do_not_start_are_the_users_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module.sys, "executable", "/bin/false")
    made = MathVerifier(workers=1)
    with pytest.raises(InputError, match="workers do not start"):
        made.verify(["x/2"], [r"\boxed{0.5x}"], [False])
    made.close()
