"""Namespaces around a worker: a file system of library folders, no network, no other processes.

The new root is a small read-only tmpfs in which the library folders are bound, without /proc. An ordinary user needs
unprivileged user namespaces; root builds the file system with its own rights, since the library folders may be closed
to others, and then becomes an unprivileged user who makes the remaining namespaces.
"""

import errno
import os
import struct
from collections.abc import Sequence

from forkpipe.sandbox import calls

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 32, 4096, 16384, 1 << 18
_AT_RECURSIVE = 0x8000
_OTHERS = calls.CLONE_NEWPID | calls.CLONE_NEWNET | calls.CLONE_NEWIPC | calls.CLONE_NEWUTS | calls.CLONE_NEWCGROUP
_INNER_ID = 65534
_BASES = ("/tmp", "/mnt", "/run", "/var")
"""Folders of which one is there to mount the new root on; nobody else sees that mount."""


def enter(folders: Sequence[str], devices: Sequence[str], uid: int | None) -> None:
    """Move this process into new namespaces; its next child is process 1 of the new process namespace.

    Args:
        folders: what can be read in the new root, by their old paths; files will do.
        devices: device files that can be read and written.
        uid: what root becomes, None for an ordinary user.

    Raises:
        OSError: a step fails, named in the message.
    """
    processes = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    if uid is None:
        user, group = os.getuid(), os.getgid()
        calls.unshare(calls.CLONE_NEWUSER, "user")
        _map_ids(processes, user, group)
        calls.unshare(calls.CLONE_NEWNS | _OTHERS, "mount, pid, net, ipc, uts, cgroup")
        _new_root(folders, devices)
    else:
        calls.unshare(calls.CLONE_NEWNS, "mount")
        _new_root(folders, devices)
        become(uid)
        calls.unshare(calls.CLONE_NEWUSER, "user")
        _map_ids(processes, uid, uid)
        calls.unshare(_OTHERS, "pid, net, ipc, uts, cgroup")
    os.close(processes)


def become(uid: int, *, keep_capability: int | None = None) -> None:
    """Turn root into an unprivileged user, with one capability left at most; OSError where it fails."""
    if keep_capability is not None:
        calls.prctl(calls.PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if keep_capability is not None:
        calls.set_capabilities(keep_capability)
    # The change of user has taken this process's own files in /proc away from it.
    calls.prctl(calls.PR_SET_DUMPABLE, 1)


def _map_ids(processes: int, user: int, group: int) -> None:
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{_INNER_ID} {user} 1"),
        ("gid_map", f"{_INNER_ID} {group} 1"),
    ):
        try:
            file = os.open(f"self/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=processes)
            os.write(file, text.encode())
            os.close(file)
        except OSError as error:
            raise OSError(error.errno, f"writing {name}: {error.strerror}") from error


def _new_root(folders: Sequence[str], devices: Sequence[str]) -> None:
    # The new root may hide a folder that is to be bound, so all are opened first.
    links: dict[str, str] = {}
    sources: dict[str, int] = {}
    for path in (*folders, *devices):
        real = _follow(path, links)
        if real is not None and real not in sources:
            sources[real] = os.open(real, os.O_PATH | os.O_CLOEXEC)
    calls.mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    base = next((path for path in _BASES if os.path.isdir(path)), None)
    if base is None:
        raise OSError(errno.ENOENT, f"none of {', '.join(_BASES)} is there to mount the new root on")
    opened = "/proc/self/fd"
    calls.mount("tmpfs", base, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,nr_inodes=4096,mode=755")
    beneath = [real for real in sources if any(real.startswith(f"{other}/") for other in sources)]
    for real, source in sources.items():
        if real in beneath:
            continue
        target = base + real
        if os.path.isdir(f"{opened}/{source}"):
            os.makedirs(target, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o444))
        calls.mount(f"{opened}/{source}", target, None, _MS_BIND | _MS_REC)
        if real not in devices:
            _make_readonly(target)
        os.close(source)
    for link, target in links.items():
        if not os.path.lexists(base + link) and not any(link.startswith(f"{real}/") for real in sources):
            os.makedirs(os.path.dirname(base + link), exist_ok=True)
            os.symlink(target, base + link)
    old = f"{base}/old"
    os.mkdir(old)
    calls.syscall("pivot_root", calls.number("pivot_root"), os.fsencode(base) + b"\0", os.fsencode(old) + b"\0")
    os.chdir("/")
    calls.umount_lazily("/old")
    os.rmdir("/old")
    calls.mount(None, "/", None, _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)


def _follow(path: str, links: dict[str, str]) -> str | None:
    """Return the real path, noting the symbolic links on the way; None where there is nothing."""
    if not os.path.exists(path):
        return None
    at = ""
    rest = [part for part in os.path.abspath(path).split("/") if part]
    while rest:
        at += "/" + rest.pop(0)
        if os.path.islink(at):
            links[at] = os.readlink(at)
            rest = [part for part in os.path.join(os.path.dirname(at), links[at]).split("/") if part] + rest
            rest = [part for part in os.path.normpath("/" + "/".join(rest)).split("/") if part]
            at = ""
    return at or "/"


def _make_readonly(target: str) -> None:
    attributes = struct.pack("=QQQQ", _MS_RDONLY | _MS_NOSUID | _MS_NODEV, 0, 0, 0)
    try:
        calls.syscall(
            "mount_setattr", calls.MOUNT_SETATTR, -100, os.fsencode(target) + b"\0", _AT_RECURSIVE, attributes, 32
        )
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        # Before Linux 5.12. What the mount is already must be said again, for that is locked.
        kept = os.statvfs(target).f_flag & _MS_NOEXEC
        calls.mount(None, target, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV | kept)
