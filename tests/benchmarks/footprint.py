"""What is used without any load: memory of an idle gateway, memory of a thousand routes, and the time to start."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from .measure import Say, site, start
from .running import StartFailed
from .scenarios import Contender
from .tree import Memory

FEW, MANY = 10, 1000
_SETTLE_SECONDS = 3
_RELAY = "floor"

STARTUPS = {
    "python -c pass": ["-c", "pass"],
    "meshctl --version": ["-m", "meshctl", "--version"],
    "meshctl --help": ["-m", "meshctl", "--help"],
}


@dataclass(frozen=True, slots=True)
class Idle:
    """The memory of one idle peer with FEW routes and with MANY; `error` says why there is none."""

    label: str
    few: Memory | None = None
    many: Memory | None = None
    error: str = ""

    @property
    def per_thousand(self) -> float | None:
        """Bytes that a thousand more routes take."""
        if self.few is None or self.many is None:
            return None
        return (self.many.alone - self.few.alone) * 1000 / (MANY - FEW)


@dataclass(frozen=True, slots=True)
class Startup:
    """Seconds from start to end of one command: the best and the median of many."""

    label: str
    best: float
    middle: float
    error: str = ""


def idle(peers: Sequence[str], say: Say) -> list[Idle]:
    """The memory of each peer, started, asked once, and left alone for a moment."""
    found = []
    with site(None) as (folder, server):
        for peer in peers:
            say(f"memory: {peer}")
            try:
                few, many = (_idle(Contender(peer, peer, routes), folder, server.port) for routes in (FEW, MANY))
            except (StartFailed, OSError) as error:
                found.append(Idle(peer, error=str(error)))
            else:
                found.append(Idle(peer, few, None if peer == _RELAY else many))
    return found


def startups(times: int, say: Say) -> list[Startup]:
    """Each command `times` times, in turn, so that what disturbs one disturbs all."""
    taken: dict[str, list[float]] = {label: [] for label in STARTUPS}
    errors: dict[str, str] = {}
    for number in range(times + 1):
        say(f"startup: {number} of {times}")
        for label, arguments in STARTUPS.items():
            began = time.perf_counter()
            done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
            taken[label].append(time.perf_counter() - began)
            if done.returncode:
                errors[label] = f"ended with {done.returncode}: {done.stderr.strip()[-200:]}"
    # The first of each filled caches.
    return [Startup(label, min(all_[1:]), median(all_[1:]), errors.get(label, "")) for label, all_ in taken.items()]


def _idle(contender: Contender, folder: Path, upstream_port: int) -> Memory:
    running, _ = start(contender, folder, upstream_port, None, contender.paths("/items/1")[0])
    with running:
        time.sleep(_SETTLE_SECONDS)
        return running.memory()
