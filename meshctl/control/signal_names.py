"""What a signal that ended a process is called: also one of those, from 32 on, that Python has no name for."""

from __future__ import annotations

import signal


def signal_name(number: int) -> str:
    """ "SIGKILL", "SIGRTMIN+6"; the number where there is no name at all."""
    try:
        return signal.Signals(number).name
    except ValueError:
        first = getattr(signal, "SIGRTMIN", number)  # not every system has it
        return f"SIGRTMIN+{number - first}" if number > first else str(number)
