"""A training in several processes: the commands that start them, and what becomes of them when the parent is killed."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from forkpipe.core.errors import InputError
from forkpipe.models.checkpoint import load_checkpoint
from forkpipe.parameters import SupervisedSettings
from forkpipe.parameters.spread import SpreadSettings
from forkpipe.training import launch, worker
from forkpipe.training.supervised import train_supervised

HERE = Path(__file__).parent


@pytest.fixture
def importable(monkeypatch):
    """Processes that are started find the modules of this folder."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """An allocation of two machines, both of which are this one: srun starts its command twice."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "scontrol").write_text(
        "#!/bin/sh\n[ \"$*\" = 'show hostnames node[1-2]' ] && printf 'localhost\\nnode2\\n'\n"
    )
    (programs / "srun").write_text(
        f"#!/bin/sh\necho \"$@\" > {tmp_path}/asked\nwhile [ \"${{1#--}}\" != \"$1\" ]; do shift; done\n"
        '"$@" & first=$!\n"$@" & second=$!\ntrap "kill $first $second" TERM\nwait $first && wait $second\n'
    )  # fmt: skip
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", str(30000 + os.getpid() % 9000))
    monkeypatch.setenv("SLURM_JOB_NODELIST", "node[1-2]")


def test_torchrun_starts_the_processes_of_a_machine(tmp_path):
    (command,) = launch.commands_of(SpreadSettings(processes=8, arguments=["--numa-binding=node"]), tmp_path)
    assert command[:3] == [sys.executable, "-m", "torch.distributed.run"]
    assert command[3:] == [
        "--nproc-per-node=8", "--nnodes=1", "--max-restarts=0", "--local-ranks-filter=0", "--tee=3",
        f"--log-dir={tmp_path}/logs", "--numa-binding=node", "--standalone",
        "-m", "forkpipe.training.worker", str(tmp_path),
    ]  # fmt: skip


def test_several_machines_meet_at_the_endpoint(tmp_path):
    settings = {"processes": 8, "machines": 3, "endpoint": "node1:29500"}
    here, *others = launch.commands_of(SpreadSettings(**settings, start=["ssh -T node2", "ssh node3"]), tmp_path)
    assert {"--nnodes=3", "--rdzv-endpoint=node1:29500", "--rdzv-backend=c10d"} <= set(here)
    assert others == [["ssh", "-T", "node2", *here], ["ssh", "node3", *here]]
    assert launch.commands_of(SpreadSettings(**settings), tmp_path) == [here] * 3


def test_ray_and_slurm_start_programs_of_theirs(tmp_path, monkeypatch):
    (command,) = launch.commands_of(SpreadSettings(processes=4, machines=2, launcher="ray"), tmp_path)
    assert command[1:] == ["-m", "forkpipe.training.ray_worker", str(tmp_path)]
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(InputError, match="outside an allocation, expected kedro run within sbatch or salloc"):
        launch.commands_of(SpreadSettings(machines=2, launcher="slurm"), tmp_path)


def test_srun_starts_an_agent_on_each_machine(tmp_path, slurm, importable, monkeypatch):
    """Two agents of torchrun, which meet over loopback, with two processes each."""
    monkeypatch.setattr(launch, "WORKER", "meeting_worker")
    settings = SpreadSettings(processes=2, machines=2, launcher="slurm", arguments=["--gpus-per-node=2"])
    result = launch.run_spread("supervised", {"of": "all"}, settings, tmp_path / "work")
    there = result["there"]
    assert sorted(one["rank"] for one in there) == [0, 1, 2, 3]
    assert sorted(one["local"] for one in there) == [0, 0, 1, 1]
    assert len({one["agent"] for one in there}) == 2
    assert result["asked"]["job"] == {"of": "all"}
    asked = (tmp_path / "asked").read_text().split()
    assert asked[:4] == ["--nodes=2", "--ntasks-per-node=1", "--kill-on-bad-exit=1", "--gpus-per-node=2"]


@pytest.mark.skipif("PROVE_SPREAD" not in os.environ, reason="make prove-spread")
def test_commands_of_other_machines_are_started(tmp_path, importable, monkeypatch):
    """Here by env in the place of ssh."""
    monkeypatch.setattr(launch, "WORKER", "meeting_worker")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    settings = SpreadSettings(machines=3, endpoint=f"localhost:{port}", start=["env A=1", "env A=2"])
    there = launch.run_spread("supervised", {}, settings, tmp_path)["there"]
    assert sorted(one["rank"] for one in there) == [0, 1, 2]


@pytest.mark.skipif("PROVE_SPREAD" not in os.environ, reason="make prove-spread")
def test_ray_trains_with_two_workers(base, trace_sets, tmp_path, monkeypatch):
    pytest.importorskip("ray.train")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    logs = []
    for name, spread in (("ray", {"processes": 2, "launcher": "ray", "shard": False}), ("alone", {})):
        settings = SupervisedSettings(
            problems_per_step=4, max_steps=4, learning_rate=4e-3, prefix_length=8, spread=spread
        )
        place = tmp_path / name
        result = train_supervised(
            "ssft", base, place / "checkpoint", place / "work", trace_sets(9), settings, "optimal", "{problem}", 0
        )
        logs.append([row["loss"] for row in result.training_log])
    assert logs[0] == pytest.approx(logs[1], abs=1e-5)


def test_a_process_that_fails_is_said(tmp_path, importable, monkeypatch):
    monkeypatch.setattr(launch, "WORKER", "no_such_module")
    with pytest.raises(InputError, match="the processes of a training ended with code 1, see what they wrote"):
        launch.run_spread("supervised", {}, SpreadSettings(processes=1), tmp_path)


def test_the_first_process_writes_the_result_and_any_one_an_error_of_a_user(tmp_path, monkeypatch):
    def refuse(job):
        raise InputError(f"{job['name']} is refused")

    monkeypatch.setattr(worker, "TASKS", {"echo": lambda job: {"said": job}, "refuse": refuse})
    (tmp_path / "job.json").write_text(json.dumps({"task": "echo", "job": {"name": "a"}}))
    for rank in ("1", "0"):
        assert not (tmp_path / "result.json").exists()
        monkeypatch.setenv("RANK", rank)
        worker.work(tmp_path)
    assert json.loads((tmp_path / "result.json").read_text()) == {"said": {"name": "a"}}
    (tmp_path / "job.json").write_text(json.dumps({"task": "refuse", "job": {"name": "a"}}))
    with pytest.raises(InputError):
        worker.work(tmp_path)
    assert (tmp_path / "error.txt").read_text() == "a is refused"
    with pytest.raises(InputError, match="expected a folder that all machines share"):
        worker.work(tmp_path / "elsewhere")


def processes_of(folder):
    """The processes whose command names a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:  # it has ended
            continue
        if str(folder).encode() in command:
            found.append(int(path.parent.name))
    return found


def test_killed_with_its_processes_a_training_goes_on_in_another_number(base, trace_sets, tmp_path, importable):
    """SIGKILL of the parent of two; three go on from their checkpoint; one process that was left alone is the same."""
    settings = {
        "problems_per_step": 6, "max_steps": 8, "learning_rate": 4e-3, "prefix_length": 8, "pass_tokens": 60,
        "matching_tokens": 200, "save_every": 2,
    }  # fmt: skip
    sets = [dataclasses.asdict(one) for one in trace_sets(16)]
    for i, one in enumerate(sets):
        one["traces"] = one["traces"][: 1 + i % 4]

    def asked(name):
        (tmp_path / name).mkdir(exist_ok=True)
        values = {"place": str(tmp_path / name), "base": str(base), "sets": sets, "settings": settings}
        (tmp_path / f"{name}.json").write_text(json.dumps(values))
        return [sys.executable, str(HERE / "spread_script.py"), str(tmp_path / f"{name}.json")]

    spread = tmp_path / "spread"
    with (tmp_path / "killed.log").open("w") as log:
        killed = subprocess.Popen([*asked("spread"), "2"], stdout=log, stderr=log)
        until = time.monotonic() + 600
        while not (spread / "work/checkpoint-2/trainer_state.json").exists() and time.monotonic() < until:
            assert killed.poll() is None, (tmp_path / "killed.log").read_text()[-3000:]
            time.sleep(0.01)
        assert len(processes_of(spread / "work")) >= 3
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
    until = time.monotonic() + 30
    while processes_of(spread / "work") and time.monotonic() < until:
        time.sleep(0.1)
    assert processes_of(spread / "work") == []
    assert not (spread / "result.json").exists()
    for name, processes in (("spread", "3"), ("alone", "1")):
        done = subprocess.run([*asked(name), processes], capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        assert ("goes on from checkpoint-" in done.stdout + done.stderr) == (name == "spread")
    alone, several = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("alone", "spread"))
    for expected, row in zip(alone["training_log"], several["training_log"], strict=True):
        for name in ("loss", "trace_loss", "tag_loss", "tokens"):
            assert row[name] == pytest.approx(expected[name], abs=1e-5), name
    tags = [{(row["problem_id"], row["visit"], row["trace_id"]): row["tag"] for row in one["matching"]}
            for one in (alone, several)]  # fmt: skip
    assert tags[0] == tags[1]
    expected, found = (load_file(tmp_path / name / "checkpoint/model.safetensors") for name in ("alone", "spread"))
    assert max(float((found[name] - tensor).abs().max()) for name, tensor in expected.items()) < 1e-4
    load_checkpoint(spread / "checkpoint")


@pytest.mark.parametrize(
    ("spread", "message"),
    [
        ({"processes": 3}, "an optimiser step has 16 problems and spread has 3 processes, expected a multiple"),
        ({"machines": 2}, "machines is 2 and endpoint is not set"),
        ({"processes": 2, "start": ["ssh a"]}, "start holds 1 commands, expected one for each other machine"),
        ({"processes": 2, "shard": False, "offload": ["states"]}, "expected several processes that share the model"),
        ({"processes": 2, "offload": ["activations"]}, "expected gradient_checkpointing"),
    ],
)
def test_spreads_that_cannot_be_are_refused(spread, message):
    with pytest.raises(ValueError, match=message):
        SupervisedSettings(spread=spread)
