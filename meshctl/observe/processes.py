"""What a proxy's processes take of the machine, summed up under the names every Prometheus client library uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class Usage(msgspec.Struct, frozen=True):
    """What some processes take together."""

    cpu: float = 0.0
    """Seconds."""
    memory: int = 0
    """Bytes resident; pages that several share count for each."""
    files: int = 0
    """Open descriptors."""
    most_files: int = 0
    """How many descriptors they may have; 0 where that is not known."""


def usage(pids: Iterable[int]) -> Usage:
    """What these processes take. Those that have ended meanwhile are passed over."""
    import psutil

    cpu, memory, files, most = 0.0, 0, 0, 0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                # The supervisor has the time of its ended children, so the sum does not go back when a worker dies.
                cpu += sum(process.cpu_times()[:4])
                memory += process.memory_info().rss
                files += process.num_fds()
                most += _most_files(process)
        except psutil.Error:
            continue
    return Usage(cpu, memory, files, most)


def processes(used: Usage, started: float) -> Iterator[Metric]:
    """The metrics of a supervisor and its workers."""
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    yield CounterMetricFamily("process_cpu_seconds", "User and system CPU time of the proxy's processes.", used.cpu)
    yield GaugeMetricFamily(
        "process_resident_memory_bytes",
        "Resident memory of the proxy's processes; pages they share count each time.",
        used.memory,
    )
    yield GaugeMetricFamily("process_open_fds", "File descriptors open in the proxy's processes.", used.files)
    if used.most_files:
        text = "File descriptors that the proxy's processes may have open, each its part."
        yield GaugeMetricFamily("process_max_fds", text, used.most_files)
    yield GaugeMetricFamily(
        "process_start_time_seconds", "When the proxy started, in seconds since the epoch.", started
    )


def _most_files(process: object) -> int:
    """The limit of open files, where the system tells that of another process."""
    import psutil

    ask = getattr(process, "rlimit", None)
    most = int(ask(psutil.RLIMIT_NOFILE)[0]) if ask is not None else 0
    return max(most, 0)
