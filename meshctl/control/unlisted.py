"""Whether a gateway runs in a home although its store knows of none: it is starting, or the store was removed under it.

Reads the home's lock, as nothing else is left to ask; knows nothing of how a gateway is started.
"""

from __future__ import annotations

import fcntl
import os

from meshctl.control.discovery import is_process
from meshctl.errors import MeshError
from meshctl.store.home import Home


def unlisted(home: Home) -> MeshError | None:
    """What to tell of the gateway that holds the home's lock; None where there is none."""
    try:
        handle = os.open(home.path / "gateway.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        said = os.read(handle, 32).strip()
        # Asked first: what tries a lock that is free stands, for a moment, in the way of whoever wants it.
        if not said.isdigit() or not is_process(int(said)) or not _is_held(handle):
            return None
    finally:
        os.close(handle)
    pid = int(said)
    hint = f"it is starting; if it stays so, mesh.db was removed while it ran: `kill {pid}`, then start it anew"
    return MeshError(
        "not_running", f"a gateway (process {pid}) has this home, but its store does not know it", hint=hint
    )


def _is_held(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
