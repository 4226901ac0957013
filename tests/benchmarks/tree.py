"""What the processes of one contender have used: CPU in nanoseconds, and memory. It knows nothing of load or HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: `alone` as if nothing else on the machine shared its files, `pss` as the kernel divides them now."""

    alone: int
    pss: int


def members(root: int) -> list[int]:
    """The process `root` and all that descend from it, while they live."""
    try:
        process = psutil.Process(root)
        return sorted([root, *(child.pid for child in process.children(recursive=True))])
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(pid: int) -> float:
    """User and system time of every thread of `pid`; threads that have ended are not counted."""
    total = 0
    for task in (_PROC / str(pid) / "task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total / 1e9


def memory(pids: Iterable[int]) -> Memory:
    """The memory of `pids` together. A file page that several of them map counts once in `alone`."""
    private = pss = 0
    shared: dict[str, int] = {}
    for pid in pids:
        for mapping in _mappings((_PROC / str(pid) / "smaps").read_text()):
            pss += mapping.pss
            private += mapping.anonymous_pss
            shared[mapping.key] = max(shared.get(mapping.key, 0), mapping.file_rss)
    return Memory(private + sum(shared.values()), pss)


@dataclass(slots=True)
class _Mapping:
    key: str
    rss: int = 0
    pss: int = 0
    anonymous: int = 0

    @property
    def file_rss(self) -> int:
        """Pages that are still the file's own."""
        return max(self.rss - self.anonymous, 0) if self.key else 0

    @property
    def anonymous_pss(self) -> int:
        """Pages of the process: all of an anonymous mapping's share, or what was written in a file's."""
        return min(self.anonymous, self.pss) if self.key else self.pss


def _mappings(text: str) -> list[_Mapping]:
    """The mappings in an smaps text; the key of a file mapping is its path and offset, of an anonymous one empty."""
    found: list[_Mapping] = []
    for line in text.splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            path = words[5] if len(words) > 5 else ""
            found.append(_Mapping(f"{path}@{words[2]}" if path.startswith("/") else ""))
        elif words[0] == "Rss:":
            found[-1].rss = int(words[1]) * 1024
        elif words[0] == "Pss:":
            found[-1].pss = int(words[1]) * 1024
        elif words[0] == "Anonymous:":
            found[-1].anonymous = int(words[1]) * 1024
    return found
