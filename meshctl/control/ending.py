"""Ending a process that this one did not start, and knowing when it is gone. Knows nothing of what the process does."""

from __future__ import annotations

import os
import signal


def end(pid: int, timeout: float) -> bool:
    """Ask process `pid` to end (SIGTERM) and wait up to `timeout` seconds; whether it is gone. Gone already is True."""
    import psutil

    try:
        # Taken before the signal: psutil remembers the start time, so that a reused pid is not mistaken for it.
        process = psutil.Process(pid)
        os.kill(pid, signal.SIGTERM)
        process.wait(timeout)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return True
    except psutil.TimeoutExpired:
        return False
    return True
