"""The filter of system calls, for both architectures, by an interpreter of classic BPF as the kernel has it."""

import ctypes
import errno
import os

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
