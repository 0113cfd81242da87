"""A world of the sandbox's own: no network, no other processes, and a root folder with almost nothing in it.

bubblewrap does the same, but must be installed, and would have to run once for each program. Here a worker moves into
new namespaces once, and all its candidates live there. Their root folder is a small file system in memory that shows
the interpreter read-only and one scratch folder. It vanishes with the worker, however the worker ends. Ordinary users
get namespaces through a user namespace, if the kernel lets them.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from .interpreter import PACKAGE_FOLDERS, Interpreter
from .libc import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    MS_BIND,
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
    MS_RELATIME,
    MS_REMOUNT,
    MS_SLAVE,
    mount,
    unshare,
)

DEVICES = ("/dev/null", "/dev/urandom")
LOADER_CACHE = "/etc/ld.so.cache"
_KEPT_FLAGS = {
    os.ST_NOSUID: MS_NOSUID,
    os.ST_NODEV: MS_NODEV,
    os.ST_NOEXEC: MS_NOEXEC,
    os.ST_NOATIME: MS_NOATIME,
    os.ST_NODIRATIME: MS_NODIRATIME,
    os.ST_RELATIME: MS_RELATIME,
}


def enter(root: str, interpreter: Interpreter, own_code: str, scratch_mib: int) -> bool:
    """Move this process into new namespaces and furnish `root`.

    Args:
        root: an empty folder that becomes the root of the candidates; only this process and its children see
            what is mounted there.
        interpreter: what must be readable inside.
        own_code: folder of the candidate's side of the sandbox.
        scratch_mib: size of `<root>/scratch`.

    Returns:
        Whether a user namespace was needed.

    Raises:
        OSError: the kernel refuses. This process may then be half way in and should end.
    """
    own_user = _leave()
    # What is mounted here stays here.
    mount("none", "/", None, MS_REC | MS_SLAVE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    for path in _visible(interpreter):
        _show(path, root)
    # Installed packages are hidden, except for our own code when it is installed among them.
    covers = [f"{root}{folder}/{name}" for folder in interpreter.stdlib for name in PACKAGE_FOLDERS]
    covers = [cover for cover in covers if os.path.isdir(cover)]
    for cover in covers:
        mount("tmpfs", cover, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=755")
    if not os.path.exists(root + own_code):
        _show(own_code, root)
    for cover in covers:
        mount("none", cover, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
    for device in DEVICES:
        _bind(device, root + device)
    # A program names its loader by a path through links: /lib64 -> usr/lib64, and there to the library.
    for loader in glob.glob("/lib*/ld-*"):
        target = root + os.path.realpath(os.path.dirname(loader)) + "/" + os.path.basename(loader)
        if not os.path.exists(target):
            _bind(os.path.realpath(loader), target)
    for entry in os.scandir("/"):
        if entry.is_symlink() and not os.path.lexists(root + entry.path):
            os.symlink(os.readlink(entry.path), root + entry.path)
    os.mkdir(f"{root}/scratch")
    mount("tmpfs", f"{root}/scratch", "tmpfs", MS_NOSUID | MS_NODEV, f"size={scratch_mib}m,nr_inodes=10k,mode=755")
    mount("none", root, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
    return own_user


def hide_other_processes() -> None:
    """Make the next child of this process the first of a process namespace: it sees, and can kill, its own only.

    When that child ends, so does everything that it started.
    """
    unshare(CLONE_NEWPID)


def _leave() -> bool:
    """Leave the namespaces of the harness; True when that took a user namespace."""
    places = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
    if os.geteuid() == 0:
        try:
            unshare(places)
            return False
        except PermissionError:
            pass  # root of a container: like an ordinary user
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER | places)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    return True


def _visible(interpreter: Interpreter) -> Iterable[str]:
    """What of the interpreter the candidate's root shows; nothing that lies inside something else."""
    # The loader follows links among the libraries, so their whole folders are shown.
    folders = {os.path.dirname(library) for library in interpreter.libraries}
    paths = {*folders, *interpreter.stdlib, interpreter.executable}
    if os.path.exists(LOADER_CACHE):
        paths.add(LOADER_CACHE)
    return [path for path in sorted(paths) if not any(str(parent) in paths for parent in Path(path).parents)]


def _show(path: str, root: str) -> None:
    """Mount a file or folder at its own place below the root, read-only."""
    _bind(path, root + path)
    # In a user namespace the flags that the original came with cannot be taken off.
    flags = os.statvfs(root + path).f_flag
    kept = sum(flag for present, flag in _KEPT_FLAGS.items() if flags & present)
    mount("none", root + path, None, MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def _bind(path: str, target: str) -> None:
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        Path(target).touch()
    mount(path, target, None, MS_BIND | MS_REC)
