"""What the processes of a mesh hold: memory, descriptors, threads, as the kernel has it, and tasks, objects, entries
in tables and blocks of memory that Python has given out, as they tell themselves when asked (`inside/sitecustomize`).
Judges nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.waiting import until

SIGNAL = signal.SIGRTMIN + 9
"""See `inside/sitecustomize`."""
MEASURES = ("rss", "pss", "descriptors", "threads", "tasks", "objects", "entries", "blocks")


@dataclass(slots=True)
class Watched:
    """One process, from when it was seen first."""

    name: str
    pid: int
    readings: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: {name: [] for name in MEASURES})
    told: list[dict[str, Any]] = field(default_factory=list)
    """What it has told of itself each time."""


class Vitals:
    """All processes that were seen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: dict[int, Watched] = {}

    def look(self, processes: Mapping[int, str], now: float) -> None:
        """Read what each of these processes, known by its name, holds now."""
        waiting = [pid for pid in processes if self._ask(pid)]
        for pid in waiting:
            with contextlib.suppress(OSError, psutil.Error):
                self._read(self.seen.setdefault(pid, Watched(processes[pid], pid)), now)

    def _ask(self, pid: int) -> bool:
        (self.folder / str(pid)).unlink(missing_ok=True)
        try:
            # One that has just begun does not listen yet, and would be ended by the signal.
            if not _listens(pid):
                return False
            os.kill(pid, SIGNAL)
        except OSError:
            return False
        return True

    def _read(self, watched: Watched, now: float) -> None:
        where = self.folder / str(watched.pid)
        until(lambda: where.exists() or not psutil.pid_exists(watched.pid), f"{watched.name} to tell how it fares")
        told = json.loads(where.read_text())
        rollup = _numbers(Path(f"/proc/{watched.pid}/smaps_rollup").read_text().splitlines()[1:])
        found = {
            "rss": rollup["Rss"] * 1024,
            "pss": rollup["Pss"] * 1024,
            "descriptors": len(os.listdir(f"/proc/{watched.pid}/fd")),
            "threads": psutil.Process(watched.pid).num_threads(),
            **{name: told[name] for name in ("tasks", "objects", "entries", "blocks")},
        }
        for name, value in found.items():
            watched.readings[name].append((now, value))
        watched.told.append(told)


def _listens(pid: int) -> bool:
    """Whether the process catches `SIGNAL` (proc(5): SigCgt is a mask in hexadecimal)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(line.split()[1] for line in lines if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (SIGNAL - 1) & 1)


def _numbers(lines: Iterable[str]) -> dict[str, int]:
    words = (line.replace(":", " ").split() for line in lines)
    return {name: int(value) for name, value, *_ in words}
