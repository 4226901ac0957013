"""Why this machine does not let an app have a network of its own, and which setting would: read off the settings that
are known to forbid it."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final

from meshctl.errors import MeshError

_SYSTEM: Final = Path("/")
_WITHOUT: Final = "without --intercept the app is told of its proxy instead; --intercept=auto does that by itself"
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
    for name, value, means, remedy in _SETTINGS:
        if _read(system, name) == value:
            why = f"the kernel does not allow --intercept: there {means} ({name} = {value})"
            return MeshError("failed", why, hint=f"as root: {remedy}; {_WITHOUT}")
    said = f"{program}: {error.strerror}" if program else (error.strerror or str(error)).lower()
    if error.errno in (errno.EPERM, errno.EACCES):
        hint = f"in a container, its seccomp profile may forbid unshare(CLONE_NEWUSER | CLONE_NEWNET); {_WITHOUT}"
    else:
        hint = _WITHOUT
    return MeshError("failed", f"the kernel does not allow --intercept: {said}", hint=hint)


def _read(system: Path, name: str) -> str:
    try:
        return (system / "proc/sys" / name.replace(".", "/")).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
