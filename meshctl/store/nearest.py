"""Which mesh.toml a command means that names none: the nearest one upward, unless a stranger put it there.

What a mesh.toml says is run (`command`), so one that another user left in /tmp, or in any folder above that others may
write, must not become the configuration of whoever works below. What is there by that name and is no file is not gone
round: a link whose file is away for a moment would hand the folder to the mesh above. Must not know what is in it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from meshctl.errors import MeshError

CONFIG_FILE: Final = "mesh.toml"


def nearest_config(start: Path | None = None) -> Path | None:
    """The mesh.toml in `start` (the working directory) or in the nearest directory above it that has one; None where
    that is somebody else's."""
    found = _nearest(start)
    return None if found is None or _owner(found, start) is not None else found


def find_config(start: Path | None = None) -> Path | None:
    """The same for those who would act by it. Raises MeshError where it is somebody else's, or no file."""
    found = _nearest(start)
    owner = None if found is None else _owner(found, start)
    if owner is not None:
        hint = f"where you trust it, name it: -c {found}"
        raise MeshError("config_unreadable", f'"{found}" was put there by user {owner}', hint=hint)
    if found is not None and (what := _instead(found)):
        hint = "put a file in its place, or name one with -c FILE"
        raise MeshError("config_unreadable", f'"{found}" is {what}', hint=hint)
    return found


def _nearest(start: Path | None) -> Path | None:
    here = _absolute(start)
    return next((path / CONFIG_FILE for path in (here, *here.parents) if os.path.lexists(path / CONFIG_FILE)), None)


def _owner(found: Path, start: Path | None) -> int | None:
    """The user whose file it is; None where that is this user, root, or whoever owns the folder that the command is run
    in: who went there meant what is theirs."""
    try:
        owner = found.stat().st_uid
    except OSError:  # a link that leads nowhere, or where this user may not look
        owner = found.lstat().st_uid
    return None if owner in (os.geteuid(), 0, _absolute(start).stat().st_uid) else owner


def _instead(found: Path) -> str:
    """What stands in the place of a file; "" where it is one, or only opening it can tell."""
    try:
        mode = found.stat().st_mode
    except FileNotFoundError:
        return f"a link to {os.readlink(found)}, which does not exist"
    except OSError:
        return ""
    if stat.S_ISREG(mode):
        return ""
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))
    return next((name for test, name in kinds if test(mode)), "a device")


def _absolute(start: Path | None) -> Path:
    # Not resolve(): a folder reached through a symbolic link keeps the (shorter) name its user knows.
    return Path(os.path.abspath(start or Path()))
