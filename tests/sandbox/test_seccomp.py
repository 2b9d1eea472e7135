"""The filter of system calls, for both architectures, by an interpreter of classic BPF as the kernel has it."""

import ctypes
import errno
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkpipe.sandbox import calls, landlock
from forkpipe.sandbox.seccomp import ALLOW, AUDIT, FCNTLS, IOCTLS, KILL, OWN_PID, PRCTLS, REFUSE, UNKNOWN, instructions
from forkpipe.sandbox.syscalls import ALLOWED, CHECKED, REFUSED, numbers

MACHINES = ["x86_64", "aarch64"]
PID = 4321
PROGRAMS = {machine: instructions(machine) for machine in MACHINES}
U64 = st.integers(0, 2**64 - 1)


def decide(machine, number, arguments=(), architecture=None):
    """Interpret the filter on one call: loads of 32 bits, jumps, a mask, returns."""
    words = [number, AUDIT[machine] if architecture is None else architecture, 0, 0]
    for value in (*arguments, *[0] * (6 - len(arguments))):
        words += [value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF]
    at, accumulator = 0, 0
    while True:
        code, if_true, if_false, constant = PROGRAMS[machine][at]
        constant = PID if constant == OWN_PID else constant
        at += 1
        if code == 0x20:
            assert constant % 4 == 0
            accumulator = words[constant // 4]
        elif code == 0x54:
            accumulator &= constant
        elif code == 0x15:
            at += if_true if accumulator == constant else if_false
        elif code == 0x35:
            at += if_true if accumulator >= constant else if_false
        else:
            assert code == 0x06
            return constant


@pytest.mark.parametrize("machine", MACHINES)
class TestFilter:
    def number(self, machine, name):
        return {**numbers(ALLOWED, machine), **numbers(CHECKED, machine), **numbers(REFUSED, machine)}[name]

    @given(arguments=st.lists(U64, min_size=6, max_size=6))
    def test_tables_are_obeyed_whatever_the_arguments(self, machine, arguments):
        assert all(decide(machine, number, arguments) == ALLOW for number in numbers(ALLOWED, machine).values())
        assert all(decide(machine, number, arguments) == REFUSE for number in numbers(REFUSED, machine).values())

    def test_no_call_stands_in_two_tables(self, machine):
        both = [number for table in (ALLOWED, CHECKED, REFUSED) for number in numbers(table, machine).values()]
        assert len(set(both)) == len(both)

    @given(number=st.integers(0, 2**32 - 1))
    def test_whatever_is_in_no_table_does_not_exist(self, machine, number):
        known = {n for table in (ALLOWED, CHECKED, REFUSED) for n in numbers(table, machine).values()}
        if number not in known:
            assert decide(machine, number) == UNKNOWN

    @given(number=st.integers(0, 500), architecture=st.integers(0, 2**32 - 1))
    def test_another_architecture_is_killed(self, machine, number, architecture):
        if architecture != AUDIT[machine]:
            assert decide(machine, number, architecture=architecture) == KILL

    def test_x32_calls_do_not_exist(self, machine):
        for number in numbers(ALLOWED, machine).values():
            assert decide(machine, number | 0x40000000) == UNKNOWN

    @given(flags=U64)
    def test_clone_makes_threads_only(self, machine, flags):
        threads = bool(flags & 0x10000) and not flags & 0x7E020080
        assert (decide(machine, self.number(machine, "clone"), [flags]) == ALLOW) is threads

    def test_clone_as_the_c_library_calls_it(self, machine):
        clone = self.number(machine, "clone")
        assert decide(machine, clone, [0x3D0F00]) == ALLOW  # pthread_create
        assert decide(machine, clone, [0x1200011]) == REFUSE  # fork
        assert decide(machine, clone, [0x4111]) == REFUSE  # posix_spawn

    @given(pid=U64)
    def test_signals_and_limits_are_for_oneself(self, machine, pid):
        """The kernel reads an int: the upper half does not count, in the filter neither."""
        own = pid & 0xFFFFFFFF == PID
        for name in ("kill", "tgkill", "rt_sigqueueinfo"):
            assert (decide(machine, self.number(machine, name), [pid]) == ALLOW) is own
        prlimit = self.number(machine, "prlimit64")
        assert (decide(machine, prlimit, [pid]) == ALLOW) is (own or pid & 0xFFFFFFFF == 0)

    @given(command=st.one_of(U64, st.sampled_from([*IOCTLS, *FCNTLS, *PRCTLS])))
    def test_commands_are_those_of_the_lists(self, machine, command):
        low = command & 0xFFFFFFFF
        for name, place, known in (("ioctl", 1, IOCTLS), ("fcntl", 1, FCNTLS), ("prctl", 0, PRCTLS)):
            arguments = [0] * place + [command]
            assert (decide(machine, self.number(machine, name), arguments) == ALLOW) is (low in known)

    @pytest.mark.parametrize(
        ("family", "kind", "verdict"),
        [(1, 1, ALLOW), (1, 1 | 0x80800, ALLOW), (1, 2, REFUSE), (1, 5, REFUSE), (2, 1, REFUSE), (16, 3, REFUSE)],
    )
    def test_socket_pairs_are_streams_of_this_machine(self, machine, family, kind, verdict):
        assert decide(machine, self.number(machine, "socketpair"), [family, kind]) == verdict

    def test_dangerous_calls_are_not_allowed(self, machine):
        allowed = numbers(ALLOWED, machine).keys() | numbers(CHECKED, machine).keys()
        assert not allowed & {
            "execve", "execveat", "fork", "vfork", "clone3", "socket", "connect", "bind", "ptrace", "mount", "unshare",
            "setns", "bpf", "keyctl", "io_uring_setup", "userfaultfd", "perf_event_open", "process_vm_readv",
            "pidfd_open", "pidfd_getfd", "memfd_create", "shmget", "chroot", "pivot_root", "open_by_handle_at",
            "personality", "seccomp", "setuid", "capset", "mkdirat", "unlinkat", "linkat", "sendmsg", "tkill",
        }  # fmt: skip


def test_the_numbers_are_those_of_this_machine():
    """Calls without effect, made by number: the kernel answers what their names promise."""
    libc = ctypes.CDLL(None, use_errno=True)
    table = numbers(ALLOWED, calls.machine())
    assert libc.syscall(table["getpid"]) == os.getpid()
    assert libc.syscall(table["getppid"]) == os.getppid()
    assert libc.syscall(table["getuid"]) == os.getuid()
    assert libc.syscall(table["close"], -1) == -1
    assert ctypes.get_errno() == errno.EBADF
    assert libc.syscall(numbers(REFUSED, calls.machine())["memfd_create"], b"x", 0xFFFF) == -1
    assert ctypes.get_errno() == errno.EINVAL


ALL_CALLS = sorted(
    {entry.partition("=")[0] for table in (ALLOWED, CHECKED, REFUSED) for entry in table.split()}
    | {"mount_setattr", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"}
)


def numbers_used(machine):
    """Return every number that the sandbox uses on a machine: of its tables, and of the calls that it makes itself."""
    own = {
        "mount_setattr": calls.MOUNT_SETATTR, "landlock_create_ruleset": calls.LANDLOCK_CREATE_RULESET,
        "landlock_add_rule": calls.LANDLOCK_ADD_RULE, "landlock_restrict_self": calls.LANDLOCK_RESTRICT_SELF,
    }  # fmt: skip
    tables = [numbers(table, machine) for table in (ALLOWED, CHECKED, REFUSED)]
    return {**own, **calls._NUMBERS[machine]}, {name: n for table in tables for name, n in table.items()}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_those_of_libseccomp(machine):
    """Its tables are a second source for both machines: -1 is a name that it does not know, a number below that a call
    that the machine does not have."""
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        pytest.skip("libseccomp.so.2 is not installed")
    resolved = {
        name: library.seccomp_syscall_resolve_name_arch(ctypes.c_uint32(AUDIT[machine]), name.encode())
        for name in ALL_CALLS
    }
    known = {name: number for name, number in resolved.items() if number != -1}
    assert len(known) > 0.9 * len(ALL_CALLS)
    own, table = numbers_used(machine)
    used = {**table, **own}
    assert {name: number for name, number in known.items() if number >= 0} == {
        name: used[name] for name in known if name in used
    }
    assert all(table.get(name, number) == number for name, number in own.items())


def test_the_numbers_of_aarch64_are_those_of_the_kernels_generic_table():
    """aarch64 uses asm-generic/unistd.h, which machines of every kind have among their headers."""
    header = Path("/usr/include/asm-generic/unistd.h")
    if not header.exists():
        pytest.skip("the kernel's headers are not installed")
    entries = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())
    generic = {{"fstatat": "newfstatat"}.get(name, name): int(number) for name, number in entries}
    own, table = numbers_used("aarch64")
    assert {name: generic.get(name, number) for name, number in {**own, **table}.items()} == {**own, **table}
    newest = max(generic[name] for name in generic if name not in ("arch_specific_syscall", "syscalls"))
    assert {name for name, number in table.items() if number <= newest} <= generic.keys()


def test_the_rights_of_landlock_are_those_of_the_kernels_header():
    header = Path("/usr/include/linux/landlock.h")
    if not header.exists():
        pytest.skip("the kernel's headers are not installed")
    bits = dict(re.findall(r"#define LANDLOCK_ACCESS_FS_(\w+)\s+\(1ULL << (\d+)\)", header.read_text()))
    assert {name: 1 << int(bits[name]) for name in ("WRITE_FILE", "READ_FILE", "READ_DIR")} == {
        "WRITE_FILE": landlock._WRITE_FILE, "READ_FILE": landlock._READ_FILE, "READ_DIR": landlock._READ_DIR,
    }  # fmt: skip
    assert all(1 << int(bit) & landlock.handled(7)[0] for bit in bits.values())


def test_an_unknown_machine_is_an_error():
    with pytest.raises(OSError, match="no table of system calls for riscv64"):
        instructions("riscv64")


def test_landlock_handles_what_its_version_knows():
    """linux/landlock.h: 13 rights at first, then refer, truncate, device ioctl; TCP from 4, scopes from 6."""
    assert landlock.handled(1) == (0x1FFF, 0, 0)
    assert landlock.handled(2) == (0x3FFF, 0, 0)
    assert landlock.handled(3) == (0x7FFF, 0, 0)
    assert landlock.handled(4) == (0x7FFF, 3, 0)
    assert landlock.handled(5) == (0xFFFF, 3, 0)
    assert landlock.handled(7) == (0xFFFF, 3, 3)
