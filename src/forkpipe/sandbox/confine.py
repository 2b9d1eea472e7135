"""How a process locks itself: the limits and filters that a worker prepares and each of its children applies.

Standard library only. A layer that cannot be had is an error, except that one of Landlock and namespaces is enough.
"""

import os
import re
import resource
from collections.abc import Callable
from typing import Any

from forkpipe.sandbox import calls, landlock, namespaces, seccomp

LAYERS = (
    "cpu", "memory", "file_size", "open_files", "threads", "locked_memory",
    "seccomp", "landlock", "namespaces", "uid", "capabilities", "dumpable", "descriptors",
)  # fmt: skip
"""What proofs can switch off, each by its name; see `local.LocalSandbox`."""

OPEN_FILES = 64
STACK = 64 << 20
"""Bytes of the main thread's stack: recursion through C (a cached function) takes half a kilobyte a call."""
LIBRARIES = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/usr/share/zoneinfo",
)  # fmt: skip
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
FIRST_UID, UIDS = 61184, 4000
"""Of these root becomes one, by the worker's process id: Linux gives them to nobody for long."""


class UnavailableError(Exception):
    """This machine lacks a layer without which nothing is run; the message says which, and what was tried."""


class Lock:
    """Prepares the layers in a worker, and applies them in a child.

    Args:
        folders: library folders beside `LIBRARIES` that programs may read.
        backend: "auto" takes what there is of Landlock and namespaces, a name insists on one; "landlock" makes no
            namespaces.
        without: layers that are left out, for proofs only.

    Attributes:
        layers: what is in force, by name, for people to read.
        problems: what could not be had, by name.
    """

    def __init__(self, folders: list[str], backend: str, without: list[str]) -> None:
        self.layers: dict[str, str] = {}
        self.problems: dict[str, str] = {}
        self._without = without
        self._backend = backend
        self._folders = [*dict.fromkeys([*folders, *LIBRARIES])]
        self._keep: int | None = None
        self._ruleset: int | None = None
        self._load_filter: Callable[[int], None] | None = None
        self._own_processes = False
        self._counts_alone = False
        self._prepare_filter()
        self._prepare_landlock()

    def _prepare_filter(self) -> None:
        if "seccomp" in self._without:
            return
        try:
            self._load_filter = seccomp.loader(seccomp.instructions(calls.machine()))
            _try_in_child(self._load_filter)
        except OSError as error:
            self.problems["seccomp"] = str(error.strerror or error)
            self._load_filter = None
            return
        self.layers["seccomp"] = "allow list"

    def _prepare_landlock(self) -> None:
        if "landlock" in self._without:
            return
        try:
            self._ruleset = landlock.make_ruleset(self._folders, DEVICES)
            self.layers["landlock"] = f"ABI {landlock.abi()}"
        except OSError as error:
            self.problems["landlock"] = str(error.strerror or error)

    def enter_namespaces(self) -> bool:
        """Become unprivileged and enter namespaces where that works; say whether a fork must follow.

        It is tried in a child first, since a half-made attempt cannot be taken back.

        Raises:
            UnavailableError: too little is left to run anything.
        """
        root_uid = None
        if os.getuid() == 0 and "uid" not in self._without:
            root_uid = FIRST_UID + os.getpid() % UIDS
            if not _is_mapped(root_uid):  # a root that is an ordinary user outside of its own namespace
                root_uid = None
        if "namespaces" not in self._without and self._backend != "landlock":
            try:
                _try_in_child(lambda _: namespaces.enter(self._folders, DEVICES, root_uid))
                namespaces.enter(self._folders, DEVICES, root_uid)
                self._own_processes = True
                self.layers["namespaces"] = "user, mount, pid, net, ipc, uts, cgroup"
            except OSError as error:
                self.problems["namespaces"] = str(error.strerror or error)
        self._check()
        # A user of its own, or a user namespace since Linux 5.14, is counted by itself.
        self._counts_alone = root_uid is not None or (self._own_processes and _kernel() >= (5, 14))
        if root_uid is not None and not self._own_processes:
            closed = _closed_to(root_uid, self._folders)
            # Landlock still bounds what it opens; without it a program could not import from these folders.
            self._keep = calls.CAP_DAC_READ_SEARCH if closed else None
            namespaces.become(root_uid, keep_capability=self._keep)
            kept = f", may read {closed} by CAP_DAC_READ_SEARCH" if self._keep is not None else ""
            self.layers["uid"] = f"{root_uid} in place of root{kept}"
        elif root_uid is not None:
            self.layers["uid"] = f"{root_uid} in place of root"
        return self._own_processes

    def _check(self) -> None:
        lacking = []
        if self._load_filter is None and "seccomp" not in self._without:
            lacking.append("seccomp")
        both_off = "landlock" in self._without and ("namespaces" in self._without or self._backend == "landlock")
        if self._ruleset is None and not self._own_processes and not both_off:
            lacking.append("Landlock or namespaces")
        if self._backend == "namespaces" and not self._own_processes and "namespaces" not in self._without:
            lacking.append("namespaces")
        if lacking:
            tried = "; ".join(self.problems.values())
            raise UnavailableError(f"{' and '.join(lacking)} cannot be had ({tried or 'nothing was tried'})")

    def seal_worker(self) -> None:
        """Take from the worker itself what none of its children needs."""
        calls.prctl(calls.PR_SET_NO_NEW_PRIVS, 1)
        if "capabilities" not in self._without:
            calls.drop_bounding_set()
            calls.prctl(calls.PR_CAP_AMBIENT, calls.PR_CAP_AMBIENT_CLEAR_ALL)
            calls.set_capabilities(self._keep)
            self.layers["capabilities"] = "none" if self._keep is None else "CAP_DAC_READ_SEARCH"
        if "dumpable" not in self._without:
            calls.prctl(calls.PR_SET_DUMPABLE, 0)
        self.layers["no_new_privs"] = "yes"

    def limits(self, limits: dict[str, Any]) -> list[tuple[int, int]]:
        """Return the resource limits of a child, as (resource, value)."""
        # Beside the program there are the worker, who waits for it, and perhaps the process of the tests.
        threads = limits["threads"] + 4
        if not self._counts_alone:
            # The limit counts all that this user runs; what the whole machine runs is no less.
            threads += limits["running"]
        wanted = {
            "memory": [(resource.RLIMIT_AS, int(limits["memory_mb"] * (1 << 20)))],
            "cpu": [(resource.RLIMIT_CPU, int(limits["cpu_seconds"] * 1.5) + 2)],
            "file_size": [(resource.RLIMIT_FSIZE, int(limits["output_mb"] * (1 << 20)))],
            "open_files": [(resource.RLIMIT_NOFILE, OPEN_FILES)],
            "threads": [(resource.RLIMIT_NPROC, threads)],
            "locked_memory": [(resource.RLIMIT_MEMLOCK, 0), (_MSGQUEUE, 0), (resource.RLIMIT_CORE, 0)],
        }
        return [pair for name, pairs in wanted.items() if name not in self._without for pair in pairs]

    def ruleset(self) -> int:
        """Return the file descriptor of Landlock's rules, -1 where it is not in use."""
        return -1 if self._ruleset is None else self._ruleset

    def take_ruleset(self, moved: int) -> None:
        """Say to which descriptor a child has moved the rules."""
        if self._ruleset is not None:
            self._ruleset = moved

    def apply(self, limits: list[tuple[int, int]]) -> None:
        """Lock the calling process for good; OSError where a layer fails."""
        os.setsid()
        hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
        if hard == resource.RLIM_INFINITY or hard >= STACK:
            resource.setrlimit(resource.RLIMIT_STACK, (STACK, hard))
        for name, value in limits:
            resource.setrlimit(name, (value, value))
        if self._ruleset is not None:
            landlock.restrict(self._ruleset)
            os.close(self._ruleset)
        if self._load_filter is not None:
            self._load_filter(os.getpid())


_MSGQUEUE = getattr(resource, "RLIMIT_MSGQUEUE", 12)


def _try_in_child(step: Callable[[int], None]) -> None:
    """Run a step that cannot be taken back in a child first; OSError of the step where it fails."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            calls.prctl(calls.PR_SET_NO_NEW_PRIVS, 1)
            step(os.getpid())
            os._exit(0)
        except OSError as error:
            os.write(writing, f"{error.errno} {error.strerror}".encode())
            os._exit(1)
        except BaseException as error:
            os.write(writing, f"0 {type(error).__name__}: {error}".encode())
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read(1000).decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if status != 0:
        code, _, text = (said or f"0 a child that tried it ended with status {status}").partition(" ")
        raise OSError(int(code), text)


def _is_mapped(uid: int) -> bool:
    """Say whether this user namespace has a user and a group of that number."""
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/self/{name}") as file:
            ranges = [tuple(map(int, line.split())) for line in file]
        if not any(first <= uid < first + count for first, _, count in ranges):
            return False
    return True


def _kernel() -> tuple[int, int]:
    major, minor = re.findall(r"\d+", os.uname().release)[:2]
    return int(major), int(minor)


def _closed_to(uid: int, folders: list[str]) -> str:
    """Return a library folder that a user cannot enter, empty text where there is none."""
    for folder in folders:
        at = ""
        for part in os.path.realpath(folder).split("/")[1:]:
            at += "/" + part
            try:
                status = os.stat(at)
            except OSError:
                break
            if status.st_uid != uid and not status.st_mode & 0o001 and os.path.isdir(at):
                return folder
    return ""
