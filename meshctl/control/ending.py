"""Ending a process that this one did not start, and knowing when it is gone. Knows nothing of what the process does."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

from meshctl import clock

if TYPE_CHECKING:
    from psutil import Process

_LOOK: Final = 0.1
"""Seconds between two looks whether it has ended and is only not waited for."""


def end(pid: int, timeout: float) -> bool:
    """Ask process `pid` to end (SIGTERM) and wait up to `timeout` seconds; whether it is gone. Gone already is True."""
    import psutil

    try:
        # Taken before the signal: psutil remembers the start time, so that a reused pid is not mistaken for it.
        process = psutil.Process(pid)
        os.kill(pid, signal.SIGTERM)
        deadline = clock.monotonic() + timeout
        while not _ends(process, min(_LOOK, max(0.0, deadline - clock.monotonic()))):
            if clock.monotonic() >= deadline:
                return False
    except (psutil.NoSuchProcess, ProcessLookupError):
        pass
    return True


def _ends(process: Process, seconds: float) -> bool:
    """Whether a process ends within this time. One that nobody has waited for has ended, too: where this machine's
    first process is no init, as in many containers, nobody ever does."""
    import psutil

    try:
        process.wait(seconds)
    except psutil.TimeoutExpired:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    return True
