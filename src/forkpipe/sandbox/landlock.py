"""Landlock: which files a program may open, enforced by the kernel without any privilege.

Needs Linux 5.13. Everything that an ABI knows is handled and refused, but reading beneath the given folders and using
the given devices; from ABI 4 on also TCP, from 6 on signals and abstract sockets across the border of the domain.
"""

import os
import stat
import struct
from collections.abc import Iterable

from forkpipe.sandbox import calls

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3


def abi() -> int:
    """Return the version of Landlock that this kernel has; OSError where it has none or it is switched off."""
    return calls.syscall("landlock", calls.LANDLOCK_CREATE_RULESET, 0, 0, 1)


def handled(version: int) -> tuple[int, int, int]:
    """Return the accesses that a version can refuse: to files, to TCP, across the domain."""
    files = (1 << 13) - 1
    files |= (version >= 2) << 13 | (version >= 3) << 14 | (version >= 5) << 15
    return files, 3 if version >= 4 else 0, 3 if version >= 6 else 0


def make_ruleset(readable: Iterable[str], devices: Iterable[str]) -> int:
    """Return a file descriptor of rules: read beneath `readable`, read and write `devices`, nothing else.

    Paths that do not exist are left out.

    Raises:
        OSError: the kernel has no Landlock, or a rule is refused.
    """
    version = abi()
    files, network, scoped = handled(version)
    attributes = struct.pack("=QQQ", files, network, scoped)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = calls.syscall("landlock_create_ruleset", calls.LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    os.set_inheritable(ruleset, False)
    for paths, access in ((readable, _READ_FILE | _READ_DIR), (devices, _READ_FILE | _WRITE_FILE)):
        for path in paths:
            try:
                beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue
            folder = stat.S_ISDIR(os.fstat(beneath).st_mode)
            rule = struct.pack("=Qi", access if folder else access & ~_READ_DIR, beneath)
            calls.syscall("landlock_add_rule", calls.LANDLOCK_ADD_RULE, ruleset, 1, rule, 0)
            os.close(beneath)
    return ruleset


def restrict(ruleset: int) -> None:
    """Put the calling process under the rules for good; needs no_new_privs, and fails with OSError."""
    calls.syscall("landlock_restrict_self", calls.LANDLOCK_RESTRICT_SELF, ruleset, 0)
