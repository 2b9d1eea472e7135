# ruff: noqa: E501
"""Programs that attack their sandbox; each prints HARM where it succeeds.

`layers` names what is meant to stop a program: with those off it succeeds (`proofs`), with all on it does not. Where two
layers stop the same, both are named. A program reads facts about its surroundings as JSON from its standard input:
`secret` a file that anyone may read, `folder` one that anyone may write in, `port` a listening TCP port, `datagrams` a
UDP port, `socket` a listening Unix socket.
"""

from typing import NamedTuple

MEMORY_MB, OUTPUT_MB = 256, 1
"""Limits under which they run."""


class Hostile(NamedTuple):
    """A program, what kind of harm it does, which layers stop it, and how harm shows.

    `evidence` is "says" where the program prints HARM, "time" where it is to use much more processor time than it may,
    else the status of a run that shows it.
    """

    name: str
    kind: str
    layers: tuple[str, ...]
    program: str
    evidence: str = "says"
    backend: str = "landlock"
    """The backend whose layers they are."""


_FACTS = "import json, os, sys\nfacts = json.loads(sys.stdin.readline())\n"
_HARM = "print('HARM', flush=True)\n"
_C = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"


def _try(body: str) -> str:
    """Run a body and print HARM unless it raises OSError."""
    indented = "".join(f"    {line}\n" for line in body.strip().splitlines())
    return f"{_FACTS}try:\n{indented}    print('HARM', flush=True)\nexcept OSError as error:\n    print('refused', error)\n"


def _call(body: str) -> str:
    """Run an expression of a C call, and print HARM where it returns no error."""
    return f"{_FACTS}{_C}result = {body}\nprint('HARM' if result >= 0 else 'refused', result, flush=True)\n"


_TIME = "time"
TIME = [
    Hostile("endless_loop", "time", ("cpu",), "while True:\n    pass\n", _TIME),
    Hostile(
        "loop_that_ignores_signals", "time", ("cpu",),
        "import signal\nfor number in range(1, 65):\n    try:\n        signal.signal(number, signal.SIG_IGN)\n"
        "    except (OSError, ValueError):\n        pass\nwhile True:\n    pass\n", _TIME,
    ),
    Hostile("huge_power", "time", ("cpu",), "x = 3 ** (10 ** 8)\n", _TIME),
    Hostile("slow_pattern", "time", ("cpu",), "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')\n", _TIME),
    Hostile(
        "loop_in_threads", "time", ("cpu",),
        "import threading\ndef spin():\n    while True:\n        pass\n"
        "for _ in range(4):\n    threading.Thread(target=spin).start()\n", _TIME,
    ),
    Hostile("loop_at_exit", "time", ("cpu",), "import atexit\n@atexit.register\ndef spin():\n    while True:\n        pass\n", _TIME),
]  # fmt: skip
MEMORY = [
    Hostile("memory_by_bytes", "memory", ("memory",), f"kept = bytearray(400 << 20)\nkept[::4096] = b'x' * len(kept[::4096])\n{_HARM}"),
    Hostile("memory_by_lists", "memory", ("memory",), f"kept = [[0] * (1 << 20) for _ in range(50)]\n{_HARM}"),
    Hostile("memory_by_text", "memory", ("memory",), f"text = 'x' * (1 << 20)\nwhile len(text) < 400 << 20:\n    text += text\n{_HARM}"),
    Hostile("memory_by_mmap", "memory", ("memory",), f"import mmap\nkept = mmap.mmap(-1, 400 << 20)\nfor at in range(0, 400 << 20, 4096):\n    kept[at] = 1\n{_HARM}"),
    Hostile("memory_by_recursion", "memory", ("memory",), f"import sys\nsys.setrecursionlimit(10**7)\ndef f(n):\n    return 0 if n == 0 else f(n - 1) + 1\nf(4_000_000)\n{_HARM}"),
]  # fmt: skip
OUTPUT = [
    Hostile("prints_much", "output", ("file_size",), "import os, sys\nfor _ in range(3):\n    print('x' * (1 << 20))\nsys.stdout.flush()\nprint('HARM' if os.fstat(1).st_size > 2 << 20 else '', file=sys.stderr)\n"),
    Hostile("prints_errors", "output", ("file_size",), "import os, sys\nsys.stderr.write('x' * (3 << 20))\nsys.stderr.flush()\nprint('HARM' if os.fstat(2).st_size > 2 << 20 else '')\n"),
    Hostile("writes_descriptors", "output", ("file_size",), "import os\nfor _ in range(3):\n    os.write(1, b'x' * (1 << 20))\nos.write(2, b'HARM' if os.fstat(1).st_size > 2 << 20 else b'')\n"),
    Hostile("stretches_its_output", "output", ("file_size",), "import os\nos.ftruncate(1, 1 << 40)\nos.write(2, b'HARM')\n"),
    Hostile("stretches_its_report", "output", ("file_size",), "import os\nos.ftruncate(3, 1 << 40)\nos.write(2, b'HARM')\n"),
]  # fmt: skip
PROCESSES = [
    Hostile("forks", "processes", ("seccomp",), _try("for _ in range(5):\n    if os.fork() == 0:\n        os._exit(0)")),
    Hostile("leaves_a_daemon", "processes", ("seccomp",), _try("if os.fork() == 0:\n    os.setsid()\n    import time\n    time.sleep(2)\n    os._exit(0)")),
    Hostile("forks_in_c", "processes", ("seccomp",), _FACTS + _C + "pid = libc.fork()\nif pid == 0:\n    libc._exit(0)\nprint('HARM' if pid > 0 else 'refused')\n"),
    Hostile("clones", "processes", ("seccomp",), _FACTS + _C + "number = 56 if os.uname().machine == 'x86_64' else 220\npid = libc.syscall(number, 17, 0, 0, 0, 0)\nif pid == 0:\n    libc._exit(0)\nprint('HARM' if pid > 0 else 'refused')\n"),
    Hostile("executes", "processes", ("seccomp", "landlock"), _try("os.set_inheritable(1, True)\nos.execv('/bin/echo', ['echo', 'HARM'])")),
    Hostile("runs_a_shell", "processes", ("seccomp", "landlock"), _FACTS + "os.set_inheritable(1, True)\nos.system('echo HARM')\n"),
    Hostile("spawns", "processes", ("seccomp", "landlock"), _try("pid = os.posix_spawn('/bin/true', ['true'], {})\nif os.waitpid(pid, 0)[1]:\n    raise OSError")),
    Hostile("many_threads", "processes", ("threads",), f"import threading, time\nthreading.stack_size(65536)\nfor _ in range(90):\n    threading.Thread(target=time.sleep, args=(1,), daemon=True).start()\n{_HARM}", "says", "auto"),
]  # fmt: skip
FILES = [
    Hostile("reads_a_secret", "files", ("landlock",), _FACTS + "try:\n    print('HARM', open(facts['secret']).read())\nexcept OSError as error:\n    print(error)\n"),
    Hostile("reads_users", "files", ("landlock",), _try("open('/etc/passwd').read()")),
    Hostile("lists_folders", "files", ("landlock",), _try("os.listdir(os.path.dirname(facts['secret']))")),
    Hostile("reads_a_secret_in_c", "files", ("landlock",), _FACTS + _C + "print('HARM' if libc.open(facts['secret'].encode(), 0) >= 0 else 'refused')\n"),
    Hostile("reads_the_command_of_its_parent", "files", ("landlock",), _try("open(f'/proc/{os.getppid()}/cmdline').read()")),
    Hostile("lists_processes", "files", ("landlock",), _try("os.listdir('/proc')")),
    Hostile("reads_by_way_of_a_descriptor", "files", ("landlock",), _try("folder = os.open('/', os.O_PATH)\nos.read(os.open(facts['secret'].lstrip('/'), os.O_RDONLY, dir_fd=folder), 1)")),
    Hostile("sees_the_size_of_a_secret", "files", ("namespaces",), _try("os.stat(facts['secret'])"), "says", "auto"),
]  # fmt: skip
DISK = [
    Hostile("writes_a_file", "disk", ("landlock",), _try("open(os.path.join(facts['folder'], 'new'), 'w').write('x')")),
    Hostile("changes_a_file", "disk", ("landlock",), _try("open(os.path.join(facts['folder'], 'old'), 'a').write('x')")),
    Hostile("cuts_a_file", "disk", ("landlock", "seccomp"), _try("os.truncate(os.path.join(facts['folder'], 'old'), 0)")),
    Hostile("makes_folders", "disk", ("landlock", "seccomp"), _try("for n in range(20):\n    os.mkdir(os.path.join(facts['folder'], f'd{n}'))")),
    Hostile("deletes_a_file", "disk", ("landlock", "seccomp"), _try("os.remove(os.path.join(facts['folder'], 'old'))")),
    Hostile("renames_a_file", "disk", ("landlock", "seccomp"), _try("os.rename(os.path.join(facts['folder'], 'old'), os.path.join(facts['folder'], 'other'))")),
    Hostile("makes_a_link", "disk", ("landlock", "seccomp"), _try("os.symlink('/', os.path.join(facts['folder'], 'link'))")),
    Hostile("writes_a_hidden_file", "disk", ("landlock",), _try("os.open(facts['folder'], os.O_TMPFILE | os.O_RDWR)")),
]  # fmt: skip
NETWORK = [
    Hostile("dials_loopback", "network", ("seccomp", "landlock"), _try("import socket\nsocket.create_connection(('127.0.0.1', facts['port']), 3)")),
    Hostile("sends_datagrams", "network", ("seccomp",), _try("import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', facts['datagrams']))")),
    Hostile("dials_a_unix_socket", "network", ("seccomp",), _try("import socket\nsocket.socket(socket.AF_UNIX).connect(facts['socket'])")),
    Hostile("listens", "network", ("seccomp", "landlock"), _try("import socket\nserver = socket.socket()\nserver.bind(('127.0.0.1', 0))\nserver.listen()")),
    Hostile("asks_the_kernel_for_interfaces", "network", ("seccomp",), _try("import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).bind((0, 0))")),
    Hostile("sends_by_a_pair_of_datagram_sockets", "network", ("seccomp",), _try("import socket\nsocket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)")),
]  # fmt: skip
_BROKEN = "broken"
SIGNALS = [
    Hostile("kills_its_worker", "signals", ("seccomp", "landlock"), "import os, time\nos.kill(os.getppid(), 9)\ntime.sleep(0.3)\n", _BROKEN),
    Hostile("stops_its_worker", "signals", ("seccomp", "landlock"), _try("os.kill(os.getppid(), 19)\nos.kill(os.getppid(), 18)")),
    Hostile("kills_all", "signals", ("seccomp", "landlock"), "import os, time\nos.kill(-1, 9)\ntime.sleep(0.3)\n", _BROKEN),
    Hostile("kills_by_descriptor", "signals", ("seccomp", "landlock"), _try("import signal\nsignal.pidfd_send_signal(os.pidfd_open(os.getppid()), 0)")),
    Hostile("signals_a_thread_of_its_worker", "signals", ("seccomp", "landlock"), _call("libc.syscall(200 if os.uname().machine == 'x86_64' else 130, os.getppid(), 0)")),
    Hostile("makes_a_file_send_signals", "signals", ("seccomp",), _try("import fcntl\nreading, writing = os.pipe()\nfcntl.fcntl(reading, fcntl.F_SETOWN, os.getppid())")),
]  # fmt: skip
SIBLINGS = [
    Hostile("lowers_the_limits_of_its_worker", "siblings", ("seccomp",), _try("import resource\nresource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (3, 4))")),
    Hostile("slows_its_worker", "siblings", ("seccomp",), _try("os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)")),
    Hostile("pins_its_worker", "siblings", ("seccomp",), _try("os.sched_setaffinity(os.getppid(), os.sched_getaffinity(0))")),
    Hostile("traces_its_worker", "siblings", ("seccomp", "landlock", "dumpable"), _FACTS + _C + "result = libc.ptrace(0x4206, os.getppid(), None, None)\nprint('HARM' if result == 0 else 'refused')\n"),
    Hostile("reads_the_memory_of_its_worker", "siblings", ("seccomp", "landlock", "dumpable"), _FACTS + _C + "class Piece(ctypes.Structure):\n    _fields_ = [('base', ctypes.c_void_p), ('size', ctypes.c_size_t)]\nhere = ctypes.create_string_buffer(64)\nours, theirs = Piece(ctypes.addressof(here), 64), Piece(id(None), 64)\nlibc.process_vm_readv.restype = ctypes.c_ssize_t\nresult = libc.process_vm_readv(os.getppid(), ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0)\nprint('HARM' if result > 0 else 'refused')\n"),
    Hostile("takes_a_descriptor_of_its_worker", "siblings", ("seccomp", "landlock", "dumpable"), _call("libc.syscall(438, os.pidfd_open(os.getppid()), 0, 0) if hasattr(os, 'pidfd_open') else -1").replace("result = ", "try:\n    result = ").replace("\nprint(", "\nexcept OSError:\n    result = -1\nprint(")),
]  # fmt: skip
SHARED = [
    Hostile("shared_memory", "shared", ("seccomp",), _call("libc.shmget(0, 1 << 20, 0o1600)")),
    Hostile("message_queue", "shared", ("seccomp",), _call("libc.msgget(0, 0o1600)")),
    Hostile("semaphores", "shared", ("seccomp",), _call("libc.semget(0, 4, 0o1600)")),
    Hostile("memory_file", "shared", ("seccomp",), _try("os.memfd_create('x')")),
    Hostile("large_pipe", "shared", ("seccomp",), _try("import fcntl\nreading, writing = os.pipe()\nfcntl.fcntl(writing, 1031, 1 << 20)")),
]  # fmt: skip
KERNEL = [
    Hostile("new_user_namespace", "kernel", ("seccomp",), _call("libc.unshare(0x10000000)")),
    Hostile("key_ring", "kernel", ("seccomp",), _call("libc.syscall(248 if os.uname().machine == 'x86_64' else 217, b'user', b'forkpipe', b'x', 1, -1)")),
    Hostile("measures_events", "kernel", ("seccomp",), _FACTS + _C + "import struct\nattributes = ctypes.create_string_buffer(struct.pack('=IIQQQQQ', 1, 112, 0, 0, 0, 0, 1 | 1 << 5 | 1 << 6), 112)\nresult = libc.syscall(298 if os.uname().machine == 'x86_64' else 241, attributes, 0, -1, -1, 0)\nprint('HARM' if result >= 0 else 'refused')\n"),
    Hostile("watches_files", "kernel", ("seccomp",), _call("libc.inotify_init1(0)")),
    Hostile("personality", "kernel", ("seccomp",), _call("libc.personality(0x0040000)")),
    Hostile("own_filter", "kernel", ("seccomp",), _FACTS + _C + "import struct\ncode = ctypes.create_string_buffer(struct.pack('=HBBI', 6, 0, 0, 0x7fff0000))\nheader = struct.pack('HxxxxxxQ', 1, ctypes.addressof(code))\nresult = libc.prctl(22, 2, header, 0, 0)\nprint('HARM' if result == 0 else 'refused')\n"),
    Hostile("has_rights", "kernel", ("capabilities", "seccomp"), _FACTS + _C + "header = (ctypes.c_uint32 * 2)(0x20080522, 0)\ndata = (ctypes.c_uint32 * 6)()\nnumber = 125 if os.uname().machine == 'x86_64' else 90\nresult = libc.syscall(number, header, data)\nprint('HARM' if data[1] or data[4] else 'refused', result)\n", "says", "auto"),
]  # fmt: skip
DESCRIPTORS = [
    Hostile("forges_an_answer", "descriptors", ("descriptors",), "import os\nfor file in range(3, 600):\n    try:\n        os.write(file, b'\\0\\0\\0\\2{}')\n    except OSError:\n        pass\n", "broken"),
    Hostile("finds_open_files", "descriptors", ("descriptors",), "import os\nopened = []\nfor file in range(4, 600):\n    try:\n        os.fstat(file)\n        opened.append(file)\n    except OSError:\n        pass\nprint('HARM' if opened else 'none', opened)\n"),
    Hostile("reads_the_next_job", "descriptors", ("descriptors",), "import os, fcntl\nfor file in range(4, 600):\n    try:\n        fcntl.fcntl(file, fcntl.F_SETFL, os.O_NONBLOCK)\n        os.read(file, 1000)\n        print('HARM')\n    except BlockingIOError:\n        print('HARM')\n    except OSError:\n        pass\n"),
    Hostile("writes_elsewhere", "descriptors", ("descriptors",), "import os\nfor file in range(4, 600):\n    try:\n        os.write(file, b'')\n        print('HARM')\n    except OSError:\n        pass\n"),
]  # fmt: skip

HOSTILE = [
    *TIME, *MEMORY, *OUTPUT, *PROCESSES, *FILES, *DISK, *NETWORK, *SIGNALS, *SIBLINGS, *SHARED, *KERNEL, *DESCRIPTORS,
]  # fmt: skip
