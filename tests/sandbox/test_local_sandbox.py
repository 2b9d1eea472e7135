"""The sandbox of this machine holds, and an honest program does not notice it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hostile_programs import HOSTILE
from surroundings import does_harm, in_cage, job_of, surroundings

from forkpipe.core.errors import InputError
from forkpipe.sandbox.base import Assertions, Call, Job, Limits
from forkpipe.sandbox.local import PROOF, LocalSandbox
from forkpipe.sandbox.probe import PROBES, probe, report

HERE = Path(__file__).parent
HONEST = Job(("print(sum(map(int, input().split())))",), b"1 2\n")
STAT_ONLY = "sees_the_size_of_a_secret"
"""Landlock does not hide names and sizes; the guide says so."""


def _can(backend: str, without: tuple[str, ...] = ()) -> str:
    """Return why a backend is not to be had here, empty text where it is."""
    os.environ[PROOF] = "1"
    sandbox = LocalSandbox(1, backend, without=without)
    try:
        sandbox.describe()
    except InputError as error:
        return str(error)
    finally:
        del os.environ[PROOF]
        sandbox.close()
    return ""


@pytest.fixture(scope="module")
def sandbox():
    if why := _can("auto"):
        pytest.skip(why)
    made = LocalSandbox(2)
    yield made
    made.close()


def run(sandbox, program, stdin=b"", **options):
    return sandbox.run([Job((program,), stdin, **options)])[0]


@pytest.mark.parametrize(
    ("backend", "without"), [("auto", ()), ("landlock", ()), ("namespaces", ("landlock",))], ids=str
)
def test_hostile_programs_do_no_harm(backend, without, tmp_path, monkeypatch):
    if why := _can(backend, without):
        pytest.skip(why)
    monkeypatch.setenv(PROOF, "1")
    sandbox = LocalSandbox(2, backend, without=without)
    with surroundings(tmp_path) as facts:
        runs = sandbox.run([job_of(hostile, facts) for hostile in HOSTILE])
        harm = {hostile.name for hostile, done in zip(HOSTILE, runs, strict=True) if does_harm(hostile, done)}
        assert harm == ({STAT_ONLY} if backend == "landlock" else set())
        assert os.listdir(facts["folder"]) == ["old"]
        assert (tmp_path / "writable" / "old").read_text() == "old"
    assert [done.name for done, ended in zip(HOSTILE, runs, strict=True) if ended.status == "broken"] == []
    assert sandbox.run([HONEST])[0].stdout == b"3\n"
    sandbox.close()


SOME_PROOFS = (
    "endless_loop", "memory_by_bytes", "prints_much", "forks", "many_threads", "reads_a_secret", "writes_a_file",
    "sees_the_size_of_a_secret", "sends_datagrams", "kills_its_worker", "reads_the_memory_of_its_worker",
    "shared_memory", "new_user_namespace", "has_rights", "forges_an_answer",
)  # fmt: skip


def test_without_its_layer_each_does_its_harm(tmp_path):
    """All of them: make prove-sandbox."""
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == os.getuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    names = [hostile.name for hostile in HOSTILE] if "PROVE_SANDBOX" in os.environ else SOME_PROOFS
    done = in_cage([sys.executable, str(HERE / "proofs.py"), str(tmp_path), *names], 300)
    if "unshare cage" in done.stderr:
        pytest.skip(f"no cage can be made here: {done.stderr.strip().splitlines()[-1]}")
    proofs = [json.loads(line) for line in done.stdout.splitlines()]
    assert {proof["name"] for proof in proofs} == set(names), done.stderr
    assert [proof for proof in proofs if not proof["harm"]] == []


def test_every_kind_has_four_programs():
    kinds = [hostile.kind for hostile in HOSTILE]
    assert len({hostile.name for hostile in HOSTILE}) == len(HOSTILE) >= 60
    assert all(kinds.count(kind) >= 4 for kind in kinds)


UNDER_RULES = """
import sys
from forkpipe.core.errors import InputError
from forkpipe.sandbox.base import Job
from forkpipe.sandbox.local import LocalSandbox
from forkpipe.sandbox.probe import probe
sandbox = LocalSandbox(1)
try:
    said = sandbox.describe()["ready"]
    print(sorted(said), [one for one in probe(sandbox) if not one.held])
except InputError as error:
    print("refused:", error)
sandbox.close()
"""


def _under_docker_rules(**environment):
    done = subprocess.run(
        [sys.executable, str(HERE / "docker_rules.py"), sys.executable, "-c", UNDER_RULES],
        capture_output=True, text=True, env={**os.environ, **environment}, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout


def test_landlock_holds_under_the_rules_of_docker():
    if why := _can("landlock"):
        pytest.skip(why)
    said = _under_docker_rules()
    assert "landlock" in said
    assert "namespaces" not in said
    assert said.rstrip().endswith("[]")


def test_nothing_is_run_where_neither_layer_is_to_be_had():
    said = _under_docker_rules(NO_LANDLOCK="1")
    assert said.startswith("refused: programs cannot be run here: Landlock or namespaces cannot be had")
    assert "Operation not permitted" in said
    assert "sandbox_fusion or piston" in said


def test_probes_hold_and_are_reported(sandbox):
    outcomes = probe(sandbox)
    assert [one for one in outcomes if not one.held] == []
    text = report(sandbox.describe(), outcomes)
    assert f"{len(PROBES)} of {len(PROBES)} probes held" in text
    assert "seccomp" in text


ORDINARY = """
import json, os, sys
sys.path[:0] = [{tests!r}, {source!r}]
from pathlib import Path
from hostile_programs import HOSTILE
from surroundings import does_harm, job_of, surroundings
from forkpipe.sandbox.local import LocalSandbox
for backend in ("auto", "landlock"):
    sandbox = LocalSandbox(2, backend)
    folder = Path({folder!r}) / backend
    folder.mkdir()
    with surroundings(folder) as facts:
        runs = sandbox.run([job_of(one, facts) for one in HOSTILE])
        harm = [one.name for one, run in zip(HOSTILE, runs) if does_harm(one, run) or run.status == "broken"]
        print(json.dumps(harm))
    sandbox.close()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="becomes an ordinary user, which only root can; the other tests are that")
def test_an_ordinary_user_is_held_too(tmp_path_factory):
    """Root becomes another user in every other test; here everything is an ordinary user's from the start."""
    folder = Path("/tmp") / f"forkpipe-ordinary-{os.getpid()}"
    folder.mkdir()
    os.chown(folder, 2000, 2000)
    source = str(HERE.parents[1] / "src")
    program = ORDINARY.format(tests=str(HERE), source=source, folder=str(folder))
    try:
        for python in dict.fromkeys((os.path.realpath(sys.executable), "/usr/bin/python3")):
            tried = subprocess.run(
                [python, "-c", f"import sys; sys.path.insert(0, {source!r})\nimport forkpipe.sandbox.local\n"
                 "assert sys.version_info >= (3, 11)"],
                user=2000, group=2000, extra_groups=[], capture_output=True, cwd="/", check=False,
            ) if os.path.exists(python) and _is_open(python) else None  # fmt: skip
            if tried is not None and tried.returncode == 0:
                break
        else:
            pytest.skip("no Python 3.11 and source that user 2000 can read")
        done = subprocess.run(
            [python, "-c", program], user=2000, group=2000, extra_groups=[], capture_output=True, text=True, cwd="/",
            timeout=200, check=False,
        )  # fmt: skip
    finally:
        shutil.rmtree(folder)
    if "cannot be had" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    # Without a user or a user namespace of its own, the limit of threads counts what else the machine runs.
    alone, landlock = (set(json.loads(line)) for line in done.stdout.splitlines())
    assert alone == set(), done.stderr
    assert landlock <= {STAT_ONLY, "many_threads"}


def _is_open(path: str) -> bool:
    """Say whether every user can reach a file."""
    return all(part.stat().st_mode & 0o001 for part in (Path(path), *Path(path).parents))


KILLED = """
import sys
from forkpipe.sandbox.base import Job, Limits
from forkpipe.sandbox.local import LocalSandbox
sandbox = LocalSandbox(2, sys.argv[1])
sandbox.describe()
print("started", flush=True)
sandbox.run([Job(("import time\\ntime.sleep(600)",), limits=Limits(wall_seconds=600))] * 2)
"""


@pytest.mark.parametrize("backend", ["auto", "landlock"])
def test_nothing_outlives_a_verifier_that_is_killed(backend):
    if why := _can(backend):
        pytest.skip(why)
    verifier = subprocess.Popen(
        [sys.executable, "-c", KILLED, backend], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert verifier.stdout.readline() == "started\n"
    end = time.monotonic() + 60
    while len(_descendants(verifier.pid)) < 4 and time.monotonic() < end:
        time.sleep(0.05)
    started = _descendants(verifier.pid)
    assert len(started) >= 4
    os.kill(verifier.pid, signal.SIGKILL)
    verifier.wait()
    end = time.monotonic() + 20  # 2 s on a machine that has time, see the results
    while any(_is_there(process) for process in started) and time.monotonic() < end:
        time.sleep(0.05)
    assert [process for process in started if _is_there(process)] == []


def _descendants(pid):
    """Return (pid, start time) of all processes below one."""
    parents, times = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry)], times[int(entry)] = int(fields[1]), fields[19]
    below, todo = [], [pid]
    while todo:
        parent = todo.pop()
        children = [child for child, its_parent in parents.items() if its_parent == parent]
        below += [(child, times[child]) for child in children]
        todo += children
    return below


def _is_there(process):
    pid, started = process
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[19] == started and fields[0] not in "ZX"


def test_the_grader_stays_small_while_a_program_prints_without_end(sandbox):
    program = (
        "import os\nblock = b'x' * (1 << 20)\nfor _ in range(10_000):\n"
        "    try:\n        os.write(1, block)\n    except OSError:\n        pass\n"
    )
    before = _resident()
    done = run(sandbox, program)
    assert done.status == "output"
    assert len(done.stdout) == 16 << 20
    assert _resident() - before < 64 << 20


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("program", "ending"),
    [
        ("print(3)", ("exited", "")),
        ("import sys\nsys.exit(4)", ("exited", "")),
        ("raise KeyError('x')", ("error", "KeyError")),
        ("x x", ("error", "SyntaxError")),
        ("(" * 50_000, ("error", "SyntaxError")),
        ("a = 1\0", ("error", "SyntaxError")),
        ("print('\ud800')", ("error", "SyntaxError")),
        ("\ufeffprint(1)", ("exited", "")),
        ("import os\nos.fork()", ("refused", "fork")),
        ("import subprocess\nsubprocess.run(['true'])", ("refused", "subprocess")),
        ("import ctypes\nctypes.string_at(0)", ("signal", "11")),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", ("signal", "9")),
        ("x = [0] * 10 ** 10", ("memory", "")),
        ("open('/etc/passwd')", ("error", None)),
        ("import sys\nsys.excepthook = None\nraise ValueError", ("error", "ValueError")),
        ("class Odd(Exception):\n    def __str__(self):\n        raise SystemExit\nraise Odd", ("error", "Odd")),
    ],
    ids=range(16),
)  # fmt: skip
def test_endings_are_told_apart(sandbox, program, ending):
    done = run(sandbox, program)
    assert done.status == ending[0]
    assert ending[1] in (None, done.detail)


@pytest.mark.parametrize(
    "program",
    [
        "print(sum(map(int, input().split())))",
        "print(sum(map(int, open(0).read().split())))",
        "import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))",
        "import os\nprint(sum(map(int, os.read(0, os.fstat(0).st_size).split())))",
        "import mmap\nprint(sum(map(int, mmap.mmap(0, 0, access=mmap.ACCESS_READ)[:].split())))",
        "import threading\nthreading.Thread(target=lambda: print(sum(map(int, input().split())))).start()",
        "import atexit, os\natexit.register(lambda: os.write(1, b'3'))",
        "import sys\nsys.setrecursionlimit(10**6)\ndef f(n):\n    return n and f(n - 1)\nf(60_000)\nprint(3)",
        "from concurrent.futures import *\nwith ThreadPoolExecutor() as p:\n  print(sum(p.map(int, input().split())))",
        "import asyncio\nasync def main():\n    print(sum(map(int, input().split())))\nasyncio.run(main())",
        "import tempfile, os, sys\nsys.stdout.write('3')\nsys.stdout = open(os.devnull, 'w')\nprint(4)",
        "from zoneinfo import ZoneInfo\nfrom fractions import Fraction\nfrom decimal import Decimal\nprint(3)",
        "print(3)\nexit()",
        "import random\nprint(3 if random.random() < 2 else 4)",
        "import subprocess, multiprocessing, socket, sqlite3, hashlib, lzma\nprint(3)",
    ],
    ids=range(15),
)  # fmt: skip
def test_honest_programs_notice_nothing(sandbox, program):
    done = run(sandbox, program, b"1 2\n")
    assert (done.status, done.stdout.strip()) == ("exited", b"3"), done.stderr


def test_the_first_program_that_compiles_is_run(sandbox):
    done = sandbox.run([Job(("x x", "print(1)", "print(2)")), Job(("x x", "y y"))])
    assert [one.program for one in done] == [1, -1]
    assert done[0].stdout == b"1\n"


def test_runs_know_nothing_of_each_other(sandbox):
    sandbox.run([Job(("import builtins, sys\nbuiltins.print = None\nsys.modules['json'] = None",))] * 4)
    assert [one.stdout for one in sandbox.run([HONEST] * 4)] == [b"3\n"] * 4


def test_calls_return_plain_data(sandbox):
    program = "def f(x):\n    if x == 3:\n        raise ValueError\n    return (x, {x}) if x else iter([])\n"
    done = sandbox.run([Job((program,), call=Call("f", arguments)) for arguments in ("[[1], [0]]", "[[1], [3], [1]]")])
    assert json.loads(done[0].report) == {"values": [{"value": {"t": [1, {"s": [1]}]}}, {"type": "list_iterator"}]}
    assert (done[1].status, done[1].detail) == ("error", "ValueError")
    assert len(json.loads(done[1].report)["values"]) == 1


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("def f(x):\n    return x * 2", {"passed": True}),
        ("def f(x):\n    return x * 3", {"failed": "AssertionError"}),
        ("import os\ndef f(x):\n    os._exit(0)", {"failed": "CandidateError", "why": "gone"}),
        ("def f(x):\n    return (i for i in x)", {"failed": "TypeError"}),
        ("def f(x):\n    raise ValueError", {"failed": "ValueError"}),
    ],
)  # fmt: skip
def test_assertions_run_apart(sandbox, program, said):
    tests = "for i in range(5):\n    assert abs(f(i) - 2 * i) < 1e-9"
    done = sandbox.run([Job((program,), assertions=Assertions("f", "", tests))])[0]
    found = json.loads(done.tests)
    assert {key: found.get(key) for key in said} == said or found["failed"] == "CandidateError"


def test_a_tested_program_cannot_reach_the_tests(sandbox):
    """Neither frames nor objects nor memory of its process hold the number that the tests expect."""
    program = (
        "import gc, sys\ndef f(x):\n    frame, seen = sys._getframe(), []\n    while frame:\n"
        "        seen += [repr(frame.f_locals), repr(frame.f_code.co_consts)]\n        frame = frame.f_back\n"
        "    seen += [repr(one) for one in gc.get_objects() if isinstance(one, (str, list, dict, tuple))]\n"
        "    return int('8602' + str(8157) in ' '.join(seen))\n"
    )
    for tests in ("assert f(1) == 0 or 86028157 == f(1)", "expected = 86028157\nassert f(1) == 0"):
        done = sandbox.run([Job((program,), assertions=Assertions("f", "", tests))])[0]
        assert json.loads(done.tests) == {"passed": True}


def test_processor_time_is_limited_to_fractions_of_a_second(sandbox):
    done = run(sandbox, "while True:\n    pass", limits=Limits(cpu_seconds=0.25, wall_seconds=20))
    assert done.status == "cpu"
    assert 0.25 <= done.cpu_seconds < 0.6


def test_many_threads_share_a_sandbox_and_a_fork_makes_its_own(sandbox):
    results = []
    threads = [threading.Thread(target=lambda: results.extend(sandbox.run([HONEST] * 3))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.stdout for one in results] == [b"3\n"] * 24
    child = os.fork()
    if child == 0:
        try:
            right = sandbox.run([HONEST])[0].stdout == b"3\n"
            sandbox.close()
            os._exit(0 if right else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sandbox.run([HONEST])[0].stdout == b"3\n"


def test_closed_it_starts_anew():
    if why := _can("auto"):
        pytest.skip(why)
    sandbox = LocalSandbox(1)
    assert sandbox.run([HONEST])[0].stdout == b"3\n"
    sandbox.close()
    sandbox.close()
    assert sandbox.run([HONEST])[0].stdout == b"3\n"
    sandbox.close()


def test_a_lost_worker_is_replaced(sandbox):
    sandbox.run([HONEST] * 2)
    for pid, _ in _descendants(os.getpid()):
        if b"start.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    assert [one.stdout for one in sandbox.run([HONEST] * 4)] == [b"3\n"] * 4


def test_packages_are_what_was_offered():
    if why := _can("auto"):
        pytest.skip(why)
    sandbox = LocalSandbox(1, packages=["numpy", "no_such_package"])
    assert sandbox.describe()["packages"] == ["numpy"]
    program = "import numpy\nprint(numpy.arange(3).sum())"
    assert sandbox.run([Job((program,), packages=("numpy",))])[0].stdout == b"3\n"
    assert sandbox.run([Job(("import pandas",))])[0].detail == "ModuleNotFoundError"
    sandbox.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"backend": "docker"}, "backend is 'docker', expected one of: auto, namespaces, landlock"),
        ({"workers": 0}, "workers is 0, expected at least 1"),
        ({"packages": ["a.b"]}, "packages names 'a.b'"),
        ({"without": ["seccomp"]}, "switched off in proofs only"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(options, said, monkeypatch):
    monkeypatch.delenv(PROOF, raising=False)
    with pytest.raises(InputError, match=said.replace("(", "\\(")):
        LocalSandbox(**options)
