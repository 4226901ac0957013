"""Why this machine does not let an app have a network of its own (`sidecar wrap --intercept`), and which setting would:
read off the settings that are known to forbid it."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Final

from meshctl.errors import MeshError, because

PACKAGES: Final = {"nft": "nftables", "ip": "iproute2"}
"""The programs that make such a network, and what to install for them."""

_PATH: Final = "/usr/sbin:/sbin:/usr/bin:/bin"
"""Where programs for administrators are, which a user's $PATH need not have."""
_DENIALS: Final = (errno.EPERM, errno.EACCES, errno.ENOSPC)
_NOT_PERMITTED: Final = "not permitted"
_SYSTEM: Final = Path("/")
_WITHOUT: Final = (
    'without --intercept the app is told of its proxy instead; --intercept=auto, or intercept = "auto" in mesh.toml, '
    "does that by itself"
)
_SETTINGS: Final = (
    ("user.max_user_namespaces", "0", "may be 0 user namespaces", "sysctl -w user.max_user_namespaces=15000"),
    ("user.max_net_namespaces", "0", "may be 0 networks", "sysctl -w user.max_net_namespaces=15000"),
    (
        "kernel.unprivileged_userns_clone", "0", "are user namespaces for root alone",
        "sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    (
        "kernel.apparmor_restrict_unprivileged_userns", "1", "are user namespaces without rights (AppArmor)",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give Python an AppArmor profile with `userns,`",
    ),
)  # fmt: skip
"""Settings of sysctl: their names, the value that forbids it, what that means and how root changes it."""


def forbidden(error: OSError, program: str = "", system: Path = _SYSTEM) -> MeshError:
    """The error to end with where `error` kept an app from having a network of its own; `program` is the one that
    failed at it."""
    found = setting(system) if error.errno in _DENIALS or _NOT_PERMITTED in (error.strerror or "").lower() else None
    if found is not None:
        why, remedy = found
        return MeshError("failed", f"the kernel does not allow --intercept: {why}", hint=f"{remedy}; {_WITHOUT}")
    said = f"{program}: {error.strerror}" if program else because(error)
    if error.errno in (errno.EPERM, errno.EACCES):
        hint = f"in a container, its seccomp profile may forbid unshare(CLONE_NEWUSER | CLONE_NEWNET); {_WITHOUT}"
    else:
        hint = _WITHOUT
    return MeshError("failed", f"the kernel does not allow --intercept: {said}", hint=hint)


def setting(system: Path = _SYSTEM) -> tuple[str, str] | None:
    """The setting that forbids it to whoever is not root: what it means, and how to change it; None where none does."""
    for name, value, means, remedy in _SETTINGS:
        if _read(system, name) == value:
            return f"there {means} ({name} = {value})", f"as root: {remedy}"
    return None


def missing(path: str = "") -> str:
    """The program that it needs and that is neither on a `path` nor where programs for administrators are; "" where all
    are there."""
    return next((name for name in PACKAGES if program(name, path) is None), "")


def program(name: str, path: str = "") -> str | None:
    """Where a program is."""
    return shutil.which(name, path=os.pathsep.join(filter(None, (path, _PATH))))


def _read(system: Path, name: str) -> str:
    try:
        return (system / "proc/sys" / name.replace(".", "/")).read_bytes().decode().strip()
    except (OSError, ValueError):
        return ""
