"""What is mapped comes in order and whole, whatever happens to workers."""

import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest
from work import Deadly, Marked

import forkpipe.parallel.mapped as mapped_module
from forkpipe.core.errors import InputError
from forkpipe.parallel.chunks import Known, chunks_of
from forkpipe.parallel.mapped import mapped, mapped_beside
from forkpipe.parameters.parallel import ParallelSettings, RaySettings

TWO = ParallelSettings(workers=2)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Start workers after the first item."""
    monkeypatch.setattr(mapped_module, "ALONE_SECONDS", 0.0)


def alive(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_results_come_in_order_from_several_processes_and_the_object_is_closed_once():
    function = Marked(seconds=0.002)
    results = list(mapped(function, iter(range(300)), TWO))
    assert [square for square, _ in results] == [n * n for n in range(300)]
    assert len({process for _, process in results}) == 3
    assert function.closed == 1
    assert not any(alive(process) for _, process in results if process != os.getpid())


def test_one_worker_is_this_process():
    assert {process for _, process in mapped(Marked(), range(50), ParallelSettings(workers=1))} == {os.getpid()}


def test_what_is_known_is_passed_on_in_its_place():
    items = [Known((n, "known")) if n % 7 else n for n in range(200)]
    results = list(mapped(Marked(), items, TWO))
    assert [result[0] for result in results] == [n if n % 7 else n * n for n in range(200)]
    beside = list(mapped_beside(Marked(), [(f"b{n}", item) for n, item in enumerate(items)], TWO))
    assert [(name, result[0]) for name, result in beside] == [(f"b{n}", r[0]) for n, r in enumerate(results)]


def test_what_is_known_starts_no_process(monkeypatch):
    monkeypatch.setattr("forkpipe.parallel.processes._Worker", None)
    assert list(mapped(Marked(), map(Known, range(1000)), TWO)) == list(range(1000))


def test_no_items_start_nothing():
    assert list(mapped(Marked(), [], TWO)) == []


def test_items_are_taken_as_they_are_needed():
    taken = []

    def items():
        for n in range(100_000):
            taken.append(n)
            yield n

    results = mapped(Marked(), items(), TWO)
    assert len(list(islice(results, 100))) == 100
    results.close()
    assert len(taken) < 100 + 32 * 4 * 2 + 32


def test_chunks_end_by_number_and_by_bytes():
    assert [len(chunk) for chunk in chunks_of(range(70))] == [32, 32, 6]
    assert [len(chunk) for chunk in chunks_of(["x" * 200_000] * 5)] == [2, 2, 1]


def test_an_error_comes_after_the_results_before_it():
    results, seen = mapped(Marked(fails={77}), range(200), TWO), []
    with pytest.raises(ValueError, match="item 77 is bad"):
        seen.extend(square for square, _ in results)  # `extend` keeps what came before the error
    assert seen == [n * n for n in range(77)]


def test_what_a_killed_worker_had_is_done_again(tmp_path):
    results = mapped(Marked(seconds=0.001, folder=str(tmp_path), deadly={40, 150}), range(300), TWO)
    assert [square for square, _ in results] == [n * n for n in range(300)]
    assert (tmp_path / "died40").exists()
    assert (tmp_path / "died150").exists()


def test_items_that_end_every_worker_end_the_run():
    with pytest.raises(InputError, match=r"3 worker processes ended \(exit code 7\) on the same 9 items"):
        list(mapped(Deadly(os.getpid()), range(10), TWO))


def test_workers_end_with_a_killed_parent_and_need_no_guard(tmp_path):
    """The script has no `__main__` guard; its workers sleep in the middle of an item when it is killed."""
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import forkpipe.parallel.mapped as m; from forkpipe.parameters.parallel import ParallelSettings\n"
        "from work import Marked\n"
        "m.ALONE_SECONDS = 0\n"
        f"list(m.mapped(Marked(seconds=.05, folder={str(tmp_path)!r}), range(100000), ParallelSettings(workers=2)))\n"
    )
    process = subprocess.Popen([sys.executable, str(script)])
    try:
        deadline = time.monotonic() + 60
        while len(workers := [int(p.name) for p in tmp_path.iterdir() if p.name.isdigit()]) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        workers.remove(process.pid)
        assert all(map(alive, workers))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    deadline = time.monotonic() + 10
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers))


def test_ray_gives_the_same_results_in_order_and_does_again_what_a_killed_task_had(tmp_path):
    pytest.importorskip("ray")
    on_ray = ParallelSettings(workers=2, ray=RaySettings())
    results = list(mapped(Marked(folder=str(tmp_path), deadly={40}), range(100), on_ray))
    assert [square for square, _ in results] == [n * n for n in range(100)]
    assert os.getpid() not in {process for _, process in results}
    assert (tmp_path / "died40").exists()
