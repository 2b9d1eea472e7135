"""What this machine isolates: a report, and probes that try to break out.

    forkpipe sandbox

Each probe is a short program that says HELD unless it could do what the sandbox is there to prevent.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from forkpipe.sandbox.base import Job, Limits, Run, Sandbox

LIMITS = Limits(cpu_seconds=1.0, wall_seconds=3.0, memory_mb=256, output_mb=1, threads=16)


class Probe(NamedTuple):
    """A program, and how a run of it shows that the sandbox holds."""

    name: str
    program: str
    holds: tuple[str, ...] = ()
    """Statuses of a run that show it; where there are none, the program says HELD."""


def _refuses(name: str, body: str) -> Probe:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return Probe(name, f"import os, socket\ntry:\n{lines}except OSError:\n    print('HELD')\n")


def _fails(name: str, call: str) -> Probe:
    return Probe(name, f"import ctypes\nlibc = ctypes.CDLL(None)\nprint('HELD' if {call} < 0 else 'BROKEN')\n")


_WRITES = """for place in ('/tmp', '/dev/shm', '/var/tmp', '.'):
    path = f'{place}/forkpipe-probe-{os.getpid()}'
    open(path, 'w').close()
    os.remove(path)"""

PROBES = (
    Probe("an honest program runs", "print('HELD' if sum(map(int, input().split())) == 3 else '')\n"),
    Probe("threads run", "import threading\nthreading.Thread(target=lambda: print('HELD')).start()\n"),
    Probe("processor time ends", "while True:\n    pass\n", ("cpu",)),
    Probe("sleep ends", "import time\ntime.sleep(60)\n", ("wall",)),
    Probe("memory ends", "x = bytearray(1 << 29)\n", ("memory",)),
    Probe("output ends", "print('x' * (1 << 22))\n", ("output",)),
    Probe("a crash is its own", "import ctypes\nctypes.string_at(0)\n", ("signal",)),
    _refuses("no new processes", "os.fork() or os._exit(0)"),
    _refuses("nothing is executed", "os.execv('/bin/true', ['true'])"),
    _refuses("no network", "socket.socket()"),
    _refuses("no datagrams", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"),
    _refuses("no Unix sockets", "socket.socket(socket.AF_UNIX)"),
    _refuses("no user's files", "open('/etc/passwd')"),
    _refuses("no processes to read about", "open('/proc/1/cmdline')"),
    _refuses("nothing is written", _WRITES),
    _refuses("no signals to others", "os.kill(os.getppid(), 0)"),
    _refuses("no limits of others", "import resource\nresource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)"),
    _refuses("no memory files", "os.memfd_create('x')"),
    _fails("no shared memory", "libc.shmget(0, 4096, 0o1600)"),
    _fails("no tracing", "libc.ptrace(16, libc.getppid(), None, None)"),
    _fails("no namespaces", "libc.unshare(0x10000000)"),
    _fails("no keys", "libc.syscall(248, b'user', b'x', b'x', 1, -1)"),
    Probe("no open files", "import os, select\npoll = select.poll()\nfor n in range(4, 60):\n    poll.register(n)\n"
          "print('HELD' if all(e & select.POLLNVAL for _, e in poll.poll(0)) else '')\n"),
)  # fmt: skip


class Outcome(NamedTuple):
    """Whether a probe was held, and how its run ended."""

    name: str
    held: bool
    ending: str


def probe(sandbox: Sandbox) -> list[Outcome]:
    """Run the probes; InputError where programs cannot be run here."""
    runs = sandbox.run([Job((probe.program,), b"1 2\n", limits=LIMITS) for probe in PROBES])
    return [Outcome(probe.name, _held(probe, run), _ending(run)) for probe, run in zip(PROBES, runs, strict=True)]


def _held(probe: Probe, run: Run) -> bool:
    return run.status in probe.holds if probe.holds else run.stdout.strip() == b"HELD"


def _ending(run: Run) -> str:
    return f"{run.status} {run.detail}".strip()


def report(said: dict[str, Any], outcomes: Sequence[Outcome]) -> str:
    """Return what a worker says of its layers, and how the probes went, as lines for people."""
    lines = [f"{name:<14}{what}" for name, what in said.get("ready", {}).items()]
    lines += [f"{name:<14}not to be had: {why}" for name, why in said.get("problems", {}).items()]
    lines.append(f"{'packages':<14}{', '.join(said.get('packages', ())) or 'none beside the standard library'}")
    lines.append("")
    lines += [f"{'held' if one.held else 'BROKEN':<8}{one.name:<32}{one.ending}" for one in outcomes]
    broken = sum(not one.held for one in outcomes)
    lines.append("")
    lines.append(f"{len(outcomes) - broken} of {len(outcomes)} probes held")
    if broken:
        lines.append("do not run programs here that nobody has read")
    return "\n".join(lines)
