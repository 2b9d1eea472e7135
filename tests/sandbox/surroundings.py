"""What a hostile program could harm: a secret, a folder, servers; and a cage in which it may."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hostile_programs import MEMORY_MB, OUTPUT_MB, Hostile

from forkpipe.core.errors import InputError
from forkpipe.sandbox.base import Job, Limits, Run
from forkpipe.sandbox.local import PROOF, LocalSandbox

LIMITS = Limits(10.0, 20.0, MEMORY_MB, OUTPUT_MB, 64)
TIME_LIMITS = Limits(0.2, 4.0, MEMORY_MB, OUTPUT_MB, 64)


def open_up(folder: Path) -> None:
    """Let every user into a temporary folder; nothing above the folder of temporary files is touched."""
    top = Path(tempfile.gettempdir()).resolve()
    for path in (folder, *folder.parents):
        if top not in path.resolve().parents:
            return
        if path.stat().st_uid == os.getuid():
            path.chmod(path.stat().st_mode | 0o055)


@contextmanager
def surroundings(folder: Path) -> Iterator[dict[str, Any]]:
    """Make what `hostile_programs` attacks, open to every user; yield the facts about it."""
    open_up(folder)
    secret, writable = folder / "secret", folder / "writable"
    secret.write_text("a secret\n")
    secret.chmod(0o644)
    writable.mkdir()
    writable.chmod(0o777)
    (writable / "old").write_text("old")
    (writable / "old").chmod(0o666)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        datagrams.bind(("127.0.0.1", 0))
        unix.bind(str(folder / "socket"))
        (folder / "socket").chmod(0o777)
        unix.listen()
        yield {
            "secret": str(secret),
            "folder": str(writable),
            "port": server.getsockname()[1],
            "datagrams": datagrams.getsockname()[1],
            "socket": str(folder / "socket"),
        }


def job_of(hostile: Hostile, facts: dict[str, Any]) -> Job:
    return Job(
        (hostile.program,), json.dumps(facts).encode() + b"\n", limits=TIME_LIMITS if hostile.kind == "time" else LIMITS
    )


def does_harm(hostile: Hostile, run: Run) -> bool:
    """Say whether a run shows the harm that a program is to do."""
    if hostile.evidence == "says":
        return b"HARM" in run.stdout or b"HARM" in run.stderr
    if hostile.evidence == "time":
        return run.cpu_seconds > 2 * TIME_LIMITS.cpu_seconds
    return run.status == hostile.evidence


def in_cage(command: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a command in a process namespace of its own, which ends with it, and where that needs one, a user's."""
    program = str(Path(__file__).with_name("cage.py"))
    return subprocess.run(
        [sys.executable, program, *command], capture_output=True, text=True, timeout=timeout, check=False
    )


HONEST = Job(("print(sum(map(int, input().split())))",), b"1 2\n")


def why_unavailable(backend: str, without: tuple[str, ...] = ()) -> str:
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


def is_open(path: str) -> bool:
    """Say whether every user can reach a file."""
    return all(part.stat().st_mode & 0o001 for part in (Path(path), *Path(path).parents))


def descendants(pid: int) -> list[tuple[int, str]]:
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


def is_there(process: tuple[int, str]) -> bool:
    """Say whether a process of `descendants` lives."""
    pid, started = process
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[19] == started and fields[0] not in "ZX"


def resident() -> int:
    """Return the resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
