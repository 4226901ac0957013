"""The mesh's home as a directory: that it is there, private, writable, with room and on a disk that a store can use."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from meshctl.control.checks.facts import Facts
from meshctl.control.checks.finding import Finding, Unknown, counted, failed, passed, warned, worst
from meshctl.errors import because
from meshctl.store.home import HOME_DIRECTORY
from meshctl.store.nearest import nearest_config

_MIB: Final = 1024 * 1024
_LITTLE: Final = 256 * _MIB
_NOTHING: Final = 8 * _MIB
_FEW_FILES: Final = 1000
_LARGE_LOG: Final = 1024 * _MIB
_MOST_FILES: Final = 5000
_PRIVATE: Final = (".key", ".p12", ".pem")
# Where processes cannot share memory through a file, which the write-ahead log of SQLite needs, or locks are unsure.
_REMOTE: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "drvfs", "fuse.sshfs", "afs", "ceph", "glusterfs"}
)


def place(facts: Facts) -> Finding:
    """Which home this is about is clear: no other one lies beside the nearest mesh.toml."""
    home = facts.home.path
    config = nearest_config(facts.folder)
    beside = config.parent / HOME_DIRECTORY if config else None
    if beside is not None and beside != home and (beside / "mesh.db").exists():
        how = "--home" if facts.option else "MESHCTL_HOME"
        hint = f"leave {how} away to mean the mesh of {config}"
        return warned(f"this is about {home}, and {beside} beside mesh.toml is another mesh", hint)
    return passed(str(home))


def directory(facts: Facts) -> Finding:
    """The home is a directory, or not made yet."""
    home = facts.home.path
    try:
        found = home.stat()
    except FileNotFoundError:
        return passed(f"{home} is not made yet", "start something in it: meshctl gateway up")
    except OSError as error:
        why = because(error)
        return failed(f"{home} cannot be looked at: {why}", "run as its owner, or name another one with --home")
    if not stat.S_ISDIR(found.st_mode):
        return failed(f"{home} is not a directory", "name a directory with --home or MESHCTL_HOME")
    return passed(f"{home} is there")


def owner(facts: Facts) -> Finding:
    """The home belongs to this user."""
    return judge_owner(facts.home.path, _stat(facts.home.path).st_uid, os.geteuid())


def judge_owner(path: Path, owner: int, user: int) -> Finding:
    """See `owner`."""
    if owner != user:
        hint = "run as that user, or name another home with --home"
        return failed(f"{path} belongs to user {owner}, and this is user {user}", hint)
    return passed(f"user {user}")


def mode(facts: Facts) -> Finding:
    """Nobody else may look into the home."""
    home = facts.home.path
    bits = stat.S_IMODE(_stat(home).st_mode)
    if bits & 0o077:
        return failed(f"{home} is open to other users (mode {bits:04o}): every command refuses it", f"chmod 700 {home}")
    return passed(f"mode {bits:04o}")


def writable(facts: Facts) -> Finding:
    """This user may write into the home."""
    home = facts.home.path
    _stat(home)
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        return failed(f"{home} cannot be written", f"chmod u+rwx {home}, or look whether the disk is mounted read-only")
    return passed("this user may write")


def space(facts: Facts) -> Finding:
    """The disk has room for the store and the logs."""
    found = os.statvfs(_existing(facts.home.path))
    return judge_space(found.f_bavail * found.f_frsize)


def judge_space(free: int) -> Finding:
    """See `space`."""
    shown = f"{free // _MIB} MiB free"
    if free < _NOTHING:
        return failed(f"{shown}: nothing can be applied any more", "free some space")
    return warned(shown, "free some space: the store and the logs need it") if free < _LITTLE else passed(shown)


def files(facts: Facts) -> Finding:
    """The disk can take more files."""
    found = os.statvfs(_existing(facts.home.path))
    # Some file systems make them as they need them and say 0.
    if found.f_files and found.f_favail < _FEW_FILES:
        return warned(f"only {found.f_favail} more files fit on the disk (inodes)", "remove files that nobody needs")
    return passed(f"{found.f_favail} more fit" if found.f_files else "this file system has no limit")


def disk(facts: Facts) -> Finding:
    """The home lies on a disk of this machine, where processes can share the store."""
    return judge_disk(facts.home.path, _kind(_existing(facts.home.path), facts.text("proc/self/mounts")))


def judge_disk(path: Path, kind: str) -> Finding:
    """See `disk`; `kind` is the file system's type."""
    if kind in _REMOTE:
        detail = f"{path} lies on {kind}, where processes cannot share the store safely"
        return warned(detail, "name a home on a local disk with --home or MESHCTL_HOME (in WSL: not below /mnt/c)")
    return passed(kind or "unknown")


def keys(facts: Facts) -> Finding:
    """Private keys in the home are the owner's alone."""
    found = [path for path in _below(facts.home.path) if path.suffix in _PRIVATE]
    if not found:
        raise Unknown("no key is kept here")
    again = "if somebody else may have read it, replace the authority: meshctl certs rotate --root"
    return worst(
        (
            failed(f"{path} is open to other users (mode {bits:04o})", f"chmod 600 {path}; {again}")
            for path in found
            if (bits := stat.S_IMODE(path.lstat().st_mode)) & 0o077
        ),
        f"{counted(len(found), 'key')}, the owner's alone",
    )


def strangers(facts: Facts) -> Finding:
    """Everything in the home belongs to this user: what root left there once cannot be replaced by anybody else."""
    user = os.geteuid()
    found = [path for path in _below(facts.home.path) if path.lstat().st_uid != user]
    if found:
        hint = f"sudo chown -R $(id -u) {facts.home.path}"
        return failed(f"{found[0]} belongs to another user, {counted(len(found), 'file')} in all", hint)
    return passed("all of it is this user's")


def sockets(facts: Facts) -> Finding:
    """The directory of the admin sockets is private, wherever it is."""
    run = facts.home.run
    try:
        found = run.lstat()
    except FileNotFoundError:
        raise Unknown("no proxy has run here yet") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return failed(f"{run} is not this user's own directory", f"remove {run}: the next proxy makes it anew")
    bits = stat.S_IMODE(found.st_mode)
    return (
        failed(f"{run} is open to others (mode {bits:04o})", f"chmod 700 {run}") if bits & 0o077 else passed(str(run))
    )


def leftovers(facts: Facts) -> Finding:
    """No socket lies there of a proxy that was killed."""
    run = facts.home.run
    names = {Path(each.socket).name for each in facts.living()}
    found = [path for path in sorted(run.glob("*.sock")) if path.name not in names] if run.is_dir() else []
    if found:
        hint = f"rm {' '.join(map(str, found[:3]))}"
        return warned(f"{counted(len(found), 'socket')} of proxies that do not run: {found[0].name}", hint)
    return passed("none")


def logs(facts: Facts) -> Finding:
    """Log files can be written and have not grown without end."""
    found = [path for path in _logs(facts) if path.exists()]
    return worst((_judge_log(path) for path in found), f"{counted(len(found), 'log file')}")


def _judge_log(path: Path) -> Finding:
    if not os.access(path, os.W_OK):
        return failed(f"{path} cannot be written", f"make it writable: chmod u+w {path}")
    size = path.stat().st_size
    if size > _LARGE_LOG:
        hint = "rotate it: move it away and send the gateway SIGHUP (logrotate does both)"
        return warned(f"{path} has grown to {size // _MIB} MiB", hint)
    return passed(path.name)


def _logs(facts: Facts) -> list[Path]:
    found = sorted(facts.home.logs.glob("*.log")) if facts.home.logs.is_dir() else []
    try:
        access = (facts.mesh()).gateway.access_log.path
    except Unknown:
        return found
    return [*found, Path(access)] if access.startswith("/") else found


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError:
        raise Unknown("it is not made yet") from None


def _existing(path: Path) -> Path:
    """The nearest directory that is there."""
    return next(each for each in (path, *path.parents) if each.is_dir())


def _below(home: Path) -> list[Path]:
    """The files in the home, as many as it may sensibly have."""
    _stat(home)
    found: list[Path] = []
    for folder, _, names in os.walk(home):
        found += [Path(folder, name) for name in names]
        if len(found) > _MOST_FILES:
            break
    return found


def _kind(path: Path, mounts: str) -> str:
    """The type of the file system that `path` lies on."""
    best, kind = "", ""
    for line in mounts.splitlines():
        words = line.split(" ")
        # Blanks in mount points are written in octal (fstab(5)).
        point = words[1].replace("\\040", " ") if len(words) > 2 else ""
        is_above = point == "/" or str(path) == point or str(path).startswith(f"{point}/")
        if point and is_above and len(point) >= len(best):
            best, kind = point, words[2]
    return kind
