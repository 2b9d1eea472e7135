"""The sandbox of this machine holds: against hostile programs, for every user, under the rules of containers."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hostile_programs import HOSTILE
from surroundings import (
    HONEST,
    descendants,
    does_harm,
    in_cage,
    is_open,
    is_there,
    job_of,
    open_up,
    resident,
    surroundings,
    why_unavailable,
)  # fmt: skip

from forkpipe.sandbox.base import Job
from forkpipe.sandbox.local import PROOF, LocalSandbox
from forkpipe.sandbox.probe import PROBES, probe, report

HERE = Path(__file__).parent
STAT_ONLY = "sees_the_size_of_a_secret"
"""Landlock does not hide names and sizes; the guide says so."""


@pytest.fixture(scope="module")
def sandbox():
    if why := why_unavailable("auto"):
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
    if why := why_unavailable(backend, without):
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
    open_up(tmp_path)
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
    if why := why_unavailable("landlock"):
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
            ) if os.path.exists(python) and is_open(python) else None  # fmt: skip
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
    if why := why_unavailable(backend):
        pytest.skip(why)
    verifier = subprocess.Popen(
        [sys.executable, "-c", KILLED, backend], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert verifier.stdout.readline() == "started\n"
    end = time.monotonic() + 60
    while len(descendants(verifier.pid)) < 4 and time.monotonic() < end:
        time.sleep(0.05)
    started = descendants(verifier.pid)
    assert len(started) >= 4
    os.kill(verifier.pid, signal.SIGKILL)
    verifier.wait()
    end = time.monotonic() + 20  # 2 s on a machine that has time, see the results
    while any(is_there(process) for process in started) and time.monotonic() < end:
        time.sleep(0.05)
    assert [process for process in started if is_there(process)] == []


@pytest.mark.parametrize("backend", ["auto", "landlock"])
def test_no_program_outlives_a_worker_that_is_killed(backend):
    """The kernel may end a worker where memory runs out, and then nobody looks at the time of its child."""
    if why := why_unavailable(backend):
        pytest.skip(why)
    verifier = subprocess.Popen(
        [sys.executable, "-c", KILLED, backend], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert verifier.stdout.readline() == "started\n"
        end = time.monotonic() + 60
        while len(descendants(verifier.pid)) < (6 if backend == "auto" else 4) and time.monotonic() < end:
            time.sleep(0.05)
        started = descendants(verifier.pid)
        for worker, _ in started[:2]:
            os.kill(worker, signal.SIGKILL)
        end = time.monotonic() + 20
        while any(is_there(process) for process in started) and time.monotonic() < end:
            time.sleep(0.05)
        assert [process for process in started if is_there(process)] == []
    finally:
        verifier.kill()
        verifier.wait()


def test_the_grader_stays_small_while_a_program_prints_without_end(sandbox):
    program = (
        "import os\nblock = b'x' * (1 << 20)\nfor _ in range(10_000):\n"
        "    try:\n        os.write(1, block)\n    except OSError:\n        pass\n"
    )
    before = resident()
    done = run(sandbox, program)
    assert done.status == "output"
    assert len(done.stdout) == 16 << 20
    assert resident() - before < 64 << 20
