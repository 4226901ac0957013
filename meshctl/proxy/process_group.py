"""A process group that must not outlive whoever is responsible for it: asked to end, then killed, to the last member.

Knows nothing of what runs in it, nor of why it has to end.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_LAST: Final = 2.0
"""Seconds that killed processes may take to vanish; one that hangs in the kernel is left to it."""
_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.1


def is_gone(group: int) -> bool:
    """Whether nothing of the group runs any more. What merely waits for its parent to take notice of its end does not:
    in a container nobody may ever do so."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        # All that is left belongs to somebody else: it is not ours to end.
        return True
    return all(state in "ZX" for state in _states(group)) if _PROC.joinpath("self/stat").exists() else False


async def end_group(group: int, grace: float) -> bool:
    """End what is left of the group: asked now, killed after `grace` seconds. Whether there was anything."""
    if is_gone(group):
        return False
    _tell(group, signal.SIGTERM)
    # One that was stopped could not even take notice of being asked.
    _tell(group, signal.SIGCONT)
    if not await _until_gone(group, grace):
        _tell(group, signal.SIGKILL)
        await _until_gone(group, _LAST)
    return True


async def _until_gone(group: int, seconds: float) -> bool:
    """Whether nothing runs within `seconds`. The kernel tells nobody, so it is asked, ever less often."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    pause = _FIRST_PAUSE
    while not is_gone(group):
        if loop.time() > deadline:
            return False
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
    return True


def _tell(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _states(group: int) -> Iterator[str]:
    """The states of the group's processes, one letter each (proc(5))."""
    for each in _PROC.glob("[0-9]*/stat"):
        try:
            # The name stands in parentheses and may hold anything, parentheses too.
            state, _, number, *_ = each.read_text(errors="replace").rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if int(number) == group:
            yield state
