"""Run a command in a disposable cage: new process and mount namespaces, limited memory, all of it gone at the end.

python cage.py COMMAND ...
"""

import os
import resource
import signal
import sys

from forkpipe.sandbox import calls


def main() -> None:
    user, group = os.getuid(), os.getgid()
    flags = calls.CLONE_NEWPID | calls.CLONE_NEWNS | calls.CLONE_NEWIPC
    if user != 0:
        calls.unshare(calls.CLONE_NEWUSER | flags, "cage")
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    else:
        calls.unshare(flags, "cage")
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        sys.exit(os.waitstatus_to_exitcode(status))
    calls.prctl(calls.PR_SET_PDEATHSIG, signal.SIGKILL)
    calls.mount(None, "/", None, 16384 | 1 << 18)
    calls.mount("proc", "/proc", "proc", 0)
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    # Process 1 must not be the command itself: it reaps what the command leaves.
    child = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
    while True:
        ended, status = os.wait()
        if ended == child:
            os._exit(max(0, os.waitstatus_to_exitcode(status)) if os.WIFEXITED(status) else 1)


if __name__ == "__main__":
    main()
