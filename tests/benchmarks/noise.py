"""How quiet the machine was: the processor time that others took meanwhile. It changes no figure; it is shown."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Shares of the machine's processor time: of programs that are not ours, and of what the hypervisor took away."""

    foreign: float
    stolen: float

    def __str__(self) -> str:
        return f"other programs used {self.foreign:.0%} of the machine, the hypervisor took {self.stolen:.0%}"


@dataclass(frozen=True, slots=True)
class Mark:
    """The machine's clocks at one moment, in seconds; `ours` is what the processes of the benchmark had used."""

    busy: float
    stolen: float
    total: float
    ours: float

    def until(self, later: Mark) -> Disturbance:
        """What others took between this moment and `later`."""
        passed = max(later.total - self.total, 1e-9)
        foreign = (later.busy - self.busy) - (later.ours - self.ours)
        return Disturbance(max(foreign, 0.0) / passed, (later.stolen - self.stolen) / passed)


def mark(running: float) -> Mark:
    """Now; `running` is the CPU of the proxies and the upstream, to which this process and its ended children add."""
    ticks = [
        int(word) / os.sysconf("SC_CLK_TCK") for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    ]
    user, nice, system, idle, iowait, irq, softirq, stolen = ticks
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    ours = running + sum(usage.ru_utime + usage.ru_stime for usage in usages)
    return Mark(
        user + nice + system + irq + softirq,
        stolen,
        user + nice + system + idle + iowait + irq + softirq + stolen,
        ours,
    )
