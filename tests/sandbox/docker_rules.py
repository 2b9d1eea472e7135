"""What Docker's default seccomp profile refuses to a container without further rights, as a filter for this process.

After moby's profiles/seccomp/default_linux.go: without CAP_SYS_ADMIN new namespaces (unshare, clone with their flags,
setns) and mounts are refused with EPERM, clone3 with ENOSYS, and so are bpf, keyctl, perf_event_open, userfaultfd
and some more. Landlock and seccomp stay allowed.
"""

import ctypes
import struct

from forkpipe.sandbox import calls
from forkpipe.sandbox.seccomp import ALLOW, REFUSE, UNKNOWN
from forkpipe.sandbox.syscalls import REFUSED, numbers

NAMESPACES = 0x7E020000
REFUSED_NAMES = (
    "unshare", "setns", "mount", "umount2", "pivot_root", "open_tree", "move_mount", "fsopen", "fsmount", "fsconfig",
    "fspick", "mount_setattr", "keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd",
    "open_by_handle_at", "name_to_handle_at", "fanotify_init", "reboot", "swapon", "syslog", "init_module",
    "finit_module", "kexec_load", "quotactl", "acct", "settimeofday", "clock_settime", "sethostname", "setdomainname",
    "io_uring_setup", "io_uring_enter", "io_uring_register",
)  # fmt: skip
LANDLOCK_NAMES = ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")


def apply(also: tuple[str, ...] = ()) -> None:
    """Refuse, for this process and all that it starts, what the profile does, and `also`."""
    machine = calls.machine()
    table = numbers(REFUSED, machine)
    clone, clone3 = (56, 435) if machine == "x86_64" else (220, 435)
    program = [(0x20, 0, 0, 0)]
    program += [(0x15, 0, 1, clone3), (0x06, 0, 0, UNKNOWN)]
    for name in (*REFUSED_NAMES, *also):
        program += [(0x15, 0, 1, table[name]), (0x06, 0, 0, REFUSE)]
    # clone: load the flags, refuse those that make namespaces
    program += [(0x15, 0, 3, clone), (0x20, 0, 0, 16), (0x45, 0, 1, NAMESPACES), (0x06, 0, 0, REFUSE)]
    program += [(0x06, 0, 0, ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    calls.prctl(calls.PR_SET_NO_NEW_PRIVS, 1)
    header = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))
    calls.syscall("seccomp", calls.number("seccomp"), 1, 0, header)


if __name__ == "__main__":
    import os
    import sys

    # python docker_rules.py COMMAND ...: under the rules; with NO_LANDLOCK set, without Landlock too
    apply(LANDLOCK_NAMES if "NO_LANDLOCK" in os.environ else ())
    os.execvp(sys.argv[1], sys.argv[1:])
