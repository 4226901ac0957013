"""What a proxy's processes take of the machine, summed up under the names every Prometheus client library uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


def processes(pids: Iterable[int], started: float) -> Iterator[Metric]:
    """The metrics of these processes, a supervisor and its workers. Those that have ended meanwhile are passed over."""
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    cpu, memory, files = _usage(pids)
    yield CounterMetricFamily("process_cpu_seconds", "User and system CPU time of the proxy's processes.", cpu)
    yield GaugeMetricFamily(
        "process_resident_memory_bytes",
        "Resident memory of the proxy's processes; pages they share count each time.",
        memory,
    )
    yield GaugeMetricFamily("process_open_fds", "File descriptors open in the proxy's processes.", files)
    yield GaugeMetricFamily(
        "process_start_time_seconds", "When the proxy started, in seconds since the epoch.", started
    )


def _usage(pids: Iterable[int]) -> tuple[float, int, int]:
    import psutil

    cpu, memory, files = 0.0, 0, 0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                # The supervisor has the time of its ended children, so the sum does not go back when a worker dies.
                cpu += sum(process.cpu_times()[:4])
                memory += process.memory_info().rss
                files += process.num_fds()
        except psutil.Error:
            continue
    return cpu, memory, files
