"""System calls that Python's library does not offer, by ctypes; standard library only."""

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS = 1, 4, 8
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 24, 38, 47, 4
CAP_DAC_READ_SEARCH = 2

# The same numbers on x86-64 and aarch64 from 424 on; below they differ.
_NUMBERS = {
    "x86_64": {"capset": 126, "pivot_root": 155, "seccomp": 317},
    "aarch64": {"capset": 91, "pivot_root": 41, "seccomp": 277},
}
MOUNT_SETATTR = 442
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000


def machine() -> str:
    """Return the name of the machine's architecture, as in the tables of `syscalls`."""
    return os.uname().machine


def number(name: str) -> int:
    """Return the number of one of the calls that differ between machines; OSError on an unknown machine."""
    if machine() not in _NUMBERS:
        raise OSError(38, f"no table of system calls for {machine()}")
    return _NUMBERS[machine()][name]


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def syscall(what: str, number: int, *arguments: object) -> int:
    """Make a system call; OSError that names it where it fails. Numbers are passed as 64 bits, buffers by address."""
    passed = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *passed), what)


def prctl(option: int, *arguments: int) -> int:
    """Call prctl with numbers; OSError where it fails."""
    passed = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    return _checked(_libc.prctl(ctypes.c_int(option), *passed), f"prctl {option}")


def unshare(flags: int, what: str) -> None:
    """Leave the namespaces that `flags` name for new ones; OSError where it fails."""
    _checked(_libc.unshare(ctypes.c_int(flags)), f"unshare {what}")


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """Mount a file system; OSError where it fails."""
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
    result = _libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3])
    _checked(result, f"mount {kind or 'bind'} on {target}")


def umount_lazily(target: str) -> None:
    """Detach a mount, in use or not; OSError where it fails."""
    _checked(_libc.umount2(os.fsencode(target), 2), f"umount {target}")


def set_capabilities(kept: int | None) -> None:
    """Give up all capabilities but one, or all; OSError where it fails."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    mask = 0 if kept is None else 1 << kept
    data = (ctypes.c_uint32 * 6)(mask, mask, 0, 0, 0, 0)
    syscall("capset", number("capset"), ctypes.byref(header), ctypes.byref(data))


def drop_bounding_set() -> None:
    """Let no capability come back; needs CAP_SETPCAP, without which there is none to lose."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            return
