"""The memory of an idle sidecar, all its processes together and without the app; and after mutual TLS has passed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from . import enrolment
from .handshakes import drive, serve
from .measure import Say, site
from .running import StartFailed
from .tree import Memory

_SIDECARS = ("meshctl", "envoy")
_SETTLE_SECONDS = 3
_TRAFFIC_SECONDS = 3


@dataclass(frozen=True, slots=True)
class Wrapped:
    """The memory of one callee's proxy: `idle` before any traffic, `used` after it; `error` says why there is none."""

    label: str
    idle: Memory | None = None
    used: Memory | None = None
    error: str = ""


def measure(peers: Sequence[str], say: Say) -> list[Wrapped]:
    """Each of `peers` that can be a sidecar, alone on the machine as far as that depends on us."""
    found = []
    for label in _SIDECARS:
        if label in peers:
            say(f"wrap-memory: {label}")
            try:
                found.append(_one(label))
            except (StartFailed, OSError) as error:
                found.append(Wrapped(label, error=str(error)))
    return found


def _one(label: str) -> Wrapped:
    with site(None) as (folder, server), ExitStack() as stack:
        mesh = enrolment.found(folder)
        started = serve(label, folder, mesh, server.port, (None, None), stack, is_asked=False)
        time.sleep(_SETTLE_SECONDS)
        idle = started.running.memory()
        for mode in ("new", "kept"):
            drive(mode, started.port, mesh.caller, _TRAFFIC_SECONDS, None)
        time.sleep(_SETTLE_SECONDS)
        return Wrapped(label, idle, started.running.memory())
