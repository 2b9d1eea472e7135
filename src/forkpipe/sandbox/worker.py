"""A worker process: has the standard library imported, and forks a child that locks itself for each run.

It is asked through one pipe and answers through another. What a program is and is given goes straight into the child,
what it writes straight back from memory files, so that nothing of one run is left in the process that the next one is
forked from. It ends with whoever started it: a pidfd of that process and the end of the pipe both tell.
"""

import atexit
import gc
import importlib
import importlib.util
import json
import os
import select
import signal
import sys
import time
from typing import Any, NamedTuple, NoReturn

from forkpipe.sandbox import calls, programs
from forkpipe.sandbox.base import BUSY
from forkpipe.sandbox.child import Given, read_exactly, run_child, write_header
from forkpipe.sandbox.confine import Lock, UnavailableError

START_SECONDS = 60.0
"""What a child may take to lock itself: milliseconds, or much more on a machine that has no time."""
STDERR_SHOWN = 4096
COMPUTES = 0.1
"""Share of the time by the clock; a program that has computed less sleeps."""
IMPORTED = (
    "array", "ast", "cmath", "contextlib", "dataclasses", "decimal", "enum", "fractions", "numbers", "queue", "time",
    "threading", "traceback", "bisect", "resource", "ctypes", "_sitebuiltins", "concurrent.futures.thread",
)  # fmt: skip


class Pipes(NamedTuple):
    """The file descriptors by which a worker is asked, answers, and knows that it is no longer wanted."""

    requests: int
    answers: int
    owner: int


class Child(NamedTuple):
    """A child at work: its process and the files that it writes."""

    pid: int
    pidfd: int
    status: int
    files: tuple[int, int, int]


def main() -> None:
    """Prepare the layers, say ["ready", layers] or ["unavailable", why], then run what is asked until nobody asks."""
    config = json.loads(sys.argv[1])
    pipes = Pipes(config["requests"], config["answers"], os.pidfd_open(os.getppid()))
    try:
        lock = Lock(_folders(config["packages"]), config["backend"], config["without"])
        _be_first_to_go()
        running = os.open("/proc/loadavg", os.O_RDONLY | os.O_CLOEXEC)
        if lock.enter_namespaces():
            _continue_as_first_process(pipes)
        for name in IMPORTED:
            importlib.import_module(name)
        prelude = programs.make_prelude()
        offered = [name for name in config["packages"] if importlib.util.find_spec(name)]
        lock.seal_worker()
    except (UnavailableError, OSError) as error:
        write_header(pipes.answers, {"unavailable": str(error)})
        return
    for name in [name for name in sys.modules if name.partition(".")[0] == "forkpipe"]:
        del sys.modules[name]
    atexit._clear()
    worker = _Worker(pipes, lock, prelude, offered, running, config["without"])
    write_header(pipes.answers, {"ready": lock.layers, "problems": lock.problems, "packages": offered})
    worker.serve()


def _folders(packages: dict[str, str]) -> list[str]:
    """Return the folders that programs may read: the standard library, and each package with its shared libraries.

    A folder of site packages goes on the path, but only its packages that are offered can be read.
    """
    folders = [path for path in sys.path if os.path.isdir(path)]
    # Where a distribution of its own (conda) keeps what its extension modules load.
    folders += [os.path.dirname(os.path.dirname(os.__file__)), *os.environ.get("LD_LIBRARY_PATH", "").split(":")]
    folders = [path for path in folders if path.startswith("/")]
    for name, site in packages.items():
        if site not in sys.path:
            sys.path.append(site)
        folders += [f"{site}/{name}", f"{site}/{name}.libs"]
    return folders


def _be_first_to_go() -> None:
    """Let the kernel end this process and not the one that verifies, where memory runs out."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass


def _continue_as_first_process(pipes: Pipes) -> None:
    """Return in a child, which is process 1 of its namespace; the parent only waits for it."""
    child = os.fork()
    if child == 0:
        calls.prctl(calls.PR_SET_PDEATHSIG, signal.SIGKILL)
        return
    for pipe in (pipes.requests, pipes.answers):
        os.close(pipe)
    os.waitpid(child, 0)
    os._exit(0)


def _cpu_time(pid: int) -> float:
    """Return the processor time of a child, that of its threads included; 0 where it is gone already."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


class _Worker:
    def __init__(
        self,
        pipes: Pipes,
        lock: Lock,
        prelude: dict[str, Any],
        offered: list[str],
        running: int,
        without: list[str],
    ) -> None:
        self._pipes = pipes
        self._lock = lock
        self._prelude = prelude
        self._offered = offered
        self._running = running
        self._leak = "descriptors" in without
        self._own_processes = os.getpid() == 1
        self._watch_cpu = "cpu" not in without
        self._cores = len(os.sched_getaffinity(0))
        self._at_work: tuple[int, ...] = ()

    def serve(self) -> None:
        """Run jobs until the pipe ends."""
        gc.collect()
        gc.freeze()
        while True:
            try:
                size = int.from_bytes(read_exactly(self._pipes.requests, 4), "big")
                header = json.loads(read_exactly(self._pipes.requests, size))
            except EOFError:
                return
            for name in header["packages"]:
                if name in self._offered:
                    importlib.import_module(name)
                    self._offered.remove(name)
                    gc.freeze()
            self._run(header)

    def _run(self, header: dict[str, Any]) -> None:
        total = os.pread(self._running, 100, 0).split()[3].partition(b"/")[2]
        limits = {**header["limits"], "running": int(total)}
        before, pairs = time.monotonic(), []
        if header["kind"] == "assertions":
            (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
            pairs = [(theirs_out, theirs_in), (ours_out, ours_in)]
        children = [self._fork(header, limits, "program", *(pairs[0] if pairs else ()))]
        locked = self._is_locked(children[0])
        if locked and pairs:
            children.append(self._fork(header, limits, "tests", *pairs[1]))
            locked = self._is_locked(children[1])
        for pair in pairs:
            os.close(pair[0])
            os.close(pair[1])
        if not locked:
            # What was sent for the child may still lie in the pipe: this worker is of no further use.
            said = os.read(children[-1].status, 1000).decode(errors="replace")
            for child in children:
                os.kill(child.pid, signal.SIGKILL)
            write_header(self._pipes.answers, {"broken": said or "a child ended before it was locked"})
            os._exit(1)
        in_time = self._wait(children, before, limits["wall_seconds"], limits["cpu_seconds"])
        self._finish(header, children, in_time, before)

    def _wait(self, children: list[Child], before: float, wall_seconds: float, cpu_seconds: float) -> bool:
        """Wait for the last child to end; say whether it did in time. Ends everything where nobody wants it any more.

        The kernel's own limit of processor time counts in ticks, and by a fifth too much on some machines, so the
        clock of each child is read; it is looked at no earlier than all cores together could have used it up. Where a
        child has computed a good part of its time by the clock it does not sleep, but the machine is busy. It has to do
        so in each extension, or a program that computes for a moment would be waited for all of them.
        """
        end = before + wall_seconds
        poll = select.poll()
        poll.register(children[-1].pidfd, select.POLLIN)
        poll.register(self._pipes.owner, select.POLLIN)
        poll.register(self._pipes.requests, 0)
        watched = [child.pid for child in children] if self._watch_cpu else []
        extended, used_before = 0, 0.0
        while True:
            used = max(map(_cpu_time, watched), default=0.0)
            left = end - time.monotonic()
            if left <= 0 and used - used_before > COMPUTES * wall_seconds and extended < BUSY - 1:
                extended, used_before, end, left = extended + 1, used, end + wall_seconds, wall_seconds
            if left <= 0:
                return False
            unused = cpu_seconds - used
            if unused <= 0:
                return True
            for file, _ in poll.poll(min(left, max(unused / self._cores, 0.005)) * 1000 + 1):
                if file == children[-1].pidfd:
                    return True
                self._leave()

    def _leave(self) -> NoReturn:
        for child in self._at_work:
            os.kill(child, signal.SIGKILL)
        os._exit(0)

    def _finish(self, header: dict[str, Any], children: list[Child], in_time: bool, before: float) -> None:
        ended = []
        for child in reversed(children):  # tests first: a program that waits for their calls has nothing more to do
            os.kill(child.pid, signal.SIGKILL)
            ended.append(os.wait4(child.pid, 0))
        self._at_work = ()
        if self._own_processes:
            self._clear_away()
        wall = time.monotonic() - before
        chosen = os.read(children[0].status, 1)
        usages = [usage.ru_utime + usage.ru_stime for _, _, usage in ended]
        limit = header["limits"]["output_mb"] * (1 << 20)
        files = [*children[0].files, *(child.files[2] for child in children[1:])]
        sizes = [min(os.fstat(file).st_size, int(limit)) for file in files]
        full = max(sizes) >= limit
        starts = [0] * len(sizes)
        starts[1] = max(0, sizes[1] - STDERR_SHOWN)  # a traceback stands at the end
        _, ending, usage = ended[-1]
        answer = {
            "status": "cpu" if max(usages) >= header["limits"]["cpu_seconds"] else "exited" if in_time else "wall",
            "signal": os.WTERMSIG(ending) if os.WIFSIGNALED(ending) else 0,
            "exit": ending,
            "stopped": len(children) > 1 or not in_time,
            "full": full,
            "program": chosen[0] if chosen else -1,
            "cpu": max(usages),
            "wall": wall,
            "memory": usage.ru_maxrss / 1024,
            "sizes": [size - start for size, start in zip(sizes, starts, strict=True)],
        }
        write_header(self._pipes.answers, answer)
        for file, at, size in zip(files, starts, sizes, strict=True):
            while at < size:
                at += os.sendfile(self._pipes.answers, file, at, size - at)
        for child in children:
            for file in (child.pidfd, child.status, *child.files):
                os.close(file)

    def _clear_away(self) -> None:
        """End and reap whatever is left in the process namespace; there should be nothing."""
        try:
            os.kill(-1, signal.SIGKILL)
            while True:
                os.waitpid(-1, 0)
        except (ProcessLookupError, ChildProcessError):
            pass

    def _is_locked(self, child: Child) -> bool:
        poll = select.poll()
        poll.register(child.status, select.POLLIN)
        return bool(poll.poll(START_SECONDS * 1000)) and os.read(child.status, 1) == b"L"

    def _fork(self, header: dict[str, Any], limits: dict[str, Any], role: str, *others: int) -> Child:
        files = tuple(os.memfd_create(name) for name in ("stdout", "stderr", "report"))
        reading, writing = os.pipe()
        worker = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(reading)
                files_given = (*files, writing, *others)
                given = Given(header, self._lock.limits(limits), role, files_given, self._pipes.requests, worker)
                run_child(self._lock, given, self._prelude, self._leak)
            finally:
                os._exit(1)
        self._at_work += (pid,)
        os.close(writing)
        return Child(pid, os.pidfd_open(pid), reading, files)  # type: ignore[arg-type]
