"""The seccomp filter of a program: an allow list, as classic BPF.

Assembled once a worker; a child puts its own process id into the few places that need it. The filter's decisions, in
this order: a call of another architecture kills the process, x32 calls do not exist, tables of `syscalls`, and ENOSYS
for the rest.
"""

import ctypes
import errno
import struct
from collections.abc import Callable, Iterable

from forkpipe.sandbox import calls
from forkpipe.sandbox.syscalls import ALLOWED, CHECKED, REFUSED, numbers

KILL, ALLOW = 0x80000000, 0x7FFF0000
REFUSE, UNKNOWN = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000

_LOAD, _JEQ, _JGE, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_NUMBER, _ARCHITECTURE = 0, 4

CLONE_THREAD = 0x00010000
_NAMESPACES = 0x7E020080
"""All CLONE_NEW* flags, those of time namespaces too."""

SOCK_TYPE_MASK, SOCK_STREAM, AF_UNIX = 0xF, 1, 1
IOCTLS = (0x5401, 0x5413, 0x5421, 0x5450, 0x5451)
"""TCGETS and TIOCGWINSZ (is this a terminal?), FIONBIO, FIONCLEX, FIOCLEX."""
FCNTLS = (0, 1, 2, 3, 4, 1030, 1032, 1034)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_GETPIPE_SZ, F_GET_SEALS: no owner of signals, no
lease, no larger pipe, no seal."""
PRCTLS = (3, 15, 16, 0x53564D41)
"""PR_GET_DUMPABLE, PR_SET_NAME, PR_GET_NAME, and PR_SET_VMA, by which an allocator names its memory."""

OWN_PID = "own process id"
Instruction = tuple[int, int, int, int | str]
"""code, jump if true, jump if false, constant."""


def _argument(index: int) -> Instruction:
    """Load the lower half of an argument: what the kernel reads of an int."""
    return _LOAD, 0, 0, 16 + 8 * index


def _among(index: int, values: Iterable[int | str]) -> list[Instruction]:
    """Allow where an argument is one of the values, refuse otherwise."""
    values = list(values)
    tests: list[Instruction] = [(_JEQ, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [_argument(index), *tests, (_RETURN, 0, 0, REFUSE), (_RETURN, 0, 0, ALLOW)]


def _checks() -> dict[str, list[Instruction]]:
    threads_only: list[Instruction] = [
        _argument(0),
        (_AND, 0, 0, CLONE_THREAD | _NAMESPACES),
        (_JEQ, 1, 0, CLONE_THREAD),
        (_RETURN, 0, 0, REFUSE),
        (_RETURN, 0, 0, ALLOW),
    ]
    # A pair of datagram sockets could send to any named socket; a stream sends to its other end only.
    stream_pairs: list[Instruction] = [
        _argument(0),
        (_JEQ, 0, 3, AF_UNIX),
        _argument(1),
        (_AND, 0, 0, SOCK_TYPE_MASK),
        (_JEQ, 1, 0, SOCK_STREAM),
        (_RETURN, 0, 0, REFUSE),
        (_RETURN, 0, 0, ALLOW),
    ]
    return {
        "clone": threads_only,
        "kill": _among(0, [OWN_PID]),
        "tgkill": _among(0, [OWN_PID]),
        "rt_sigqueueinfo": _among(0, [OWN_PID]),
        "prlimit64": _among(0, [0, OWN_PID]),
        "ioctl": _among(1, IOCTLS),
        "fcntl": _among(1, FCNTLS),
        "prctl": _among(0, PRCTLS),
        "socketpair": stream_pairs,
    }


def instructions(machine: str) -> list[Instruction]:
    """Return the filter for a machine, with `OWN_PID` where a child's process id belongs.

    Raises:
        OSError: no table of system calls for that machine.
    """
    if machine not in AUDIT:
        raise OSError(errno.ENOSYS, f"no table of system calls for {machine}, expected x86_64 or aarch64")
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JEQ, 1, 0, AUDIT[machine]),
        (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        program += [(_JGE, 0, 1, _X32), (_RETURN, 0, 0, UNKNOWN)]
    for number in numbers(ALLOWED, machine).values():
        program += [(_JEQ, 0, 1, number), (_RETURN, 0, 0, ALLOW)]
    checks = _checks()
    for name, number in numbers(CHECKED, machine).items():
        program += [(_JEQ, 0, len(checks[name]), number), *checks[name]]
    for number in numbers(REFUSED, machine).values():
        program += [(_JEQ, 0, 1, number), (_RETURN, 0, 0, REFUSE)]
    return [*program, (_RETURN, 0, 0, UNKNOWN)]


def loader(program: list[Instruction]) -> Callable[[int], None]:
    """Return a function that confines the calling thread by the filter, given its process id.

    It needs no_new_privs, and fails with OSError.
    """
    own = [index for index, instruction in enumerate(program) if instruction[3] == OWN_PID]
    packed = bytearray(
        b"".join(
            struct.pack("=HBBI", *head, constant if isinstance(constant, int) else 0) for *head, constant in program
        )
    )
    size, number = len(program), calls.number("seccomp")

    def load(pid: int) -> None:
        for index in own:
            struct.pack_into("=I", packed, 8 * index + 4, pid)
        code = (ctypes.c_char * len(packed)).from_buffer(packed)
        header = struct.pack("HxxxxxxQ", size, ctypes.addressof(code))
        calls.syscall("seccomp", number, 1, 0, header)

    return load
