"""Limits of this shell, of the running proxies and of the kernel, against what the mesh may need."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from meshctl.control.checks.facts import Facts
from meshctl.control.checks.finding import Finding, Unknown, counted, failed, passed, warned, worst
from meshctl.control.revisions import nothing
from meshctl.model.mesh import Gateway
from meshctl.proxy.descriptors import fitting, needed

_MIB: Final = 1024 * 1024
_FULL: Final = 0.8
_QUEUE: Final = 1024
_PORTS: Final = 20_000
_SCARCE: Final = 0.05
_PROCESSES: Final = 256
_OPEN_FILES: Final = re.compile(r"^Max open files\s+(\d+|unlimited)", re.MULTILINE)


def open_files(facts: Facts) -> Finding:
    """What is started from this shell may open as many files as the configured connections need. Workers raise their
    own limit as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    gateway = _gateway(facts)
    workers = gateway.workers or os.cpu_count() or 1
    return judge_open_files(_finite(soft), _finite(hard), gateway.limits.connections, workers)


def judge_open_files(soft: float, hard: float, connections: int, workers: int) -> Finding:
    """See `open_files`. Workers share the connections."""
    files = needed(connections // workers)
    if hard >= files:
        raised = f", raised to {files}" if soft < files else f", {files} at most are needed"
        return passed(f"{_shown(soft)}{raised}")
    fit = fitting(int(hard)) * workers
    detail = f"{_shown(hard)} files for each process, and {connections} connections may need {files}: {fit} are served"
    return warned(detail, f"raise the hard limit (limits.conf, LimitNOFILE=), or set limits.connections to {fit}")


def files_in_use(facts: Facts) -> Finding:
    """No running proxy is about to run out of files."""
    used: dict[str, tuple[int, float]] = {}
    for view in facts.views():
        for pid in (view.pid, *(worker.pid for worker in view.workers)):
            try:
                count = len(os.listdir(facts.system / f"proc/{pid}/fd"))
                found = _OPEN_FILES.search((facts.system / f"proc/{pid}/limits").read_text())
            except OSError:
                continue
            limit = float("inf") if found is None or found[1] == "unlimited" else float(found[1])
            used[f"process {pid} of {view.id}"] = (count, limit)
    if not used:
        raise Unknown("this system does not tell")
    return judge_files_in_use(used)


def judge_files_in_use(used: Mapping[str, tuple[int, float]]) -> Finding:
    """See `files_in_use`: how many each process has open, and may have."""
    hint = "start it again with a larger limit: ulimit -n 65536, or LimitNOFILE= of its service"
    return worst(
        (
            (failed if count >= limit else warned)(f"{name} has {count} of {_shown(limit)} files open", hint)
            for name, (count, limit) in used.items()
            if count > _FULL * limit
        ),
        f"at most {max(count for count, _ in used.values())} in one process",
    )


def processes(_facts: Facts) -> Finding:
    """This user may start more processes."""
    soft = _finite(resource.getrlimit(resource.RLIMIT_NPROC)[0])
    if soft < _PROCESSES:
        return warned(f"this user may have {_shown(soft)} processes in all", "ulimit -u 4096")
    return passed(_shown(soft))


def core_count(facts: Facts) -> Finding:
    """There are not more workers than cores to run them."""
    workers = _gateway(facts).workers
    return judge_core_count(workers, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)


def judge_core_count(workers: int, cores: int) -> Finding:
    """See `core_count`; 0 workers are one for each core."""
    if workers > 2 * cores:
        return warned(f"{workers} workers on {counted(cores, 'core')}", 'write workers = "auto" in [gateway]')
    return passed(f"{workers or cores} of {counted(cores, 'core')}")


def memory(facts: Facts) -> Finding:
    """The machine has memory left."""
    sizes = dict(re.findall(r"^(MemTotal|MemAvailable):\s+(\d+) kB", facts.text("proc/meminfo"), re.MULTILINE))
    if len(sizes) < 2:
        raise Unknown("this system does not tell")
    return judge_memory(int(sizes["MemAvailable"]) * 1024, int(sizes["MemTotal"]) * 1024)


def judge_memory(free: int, total: int) -> Finding:
    """See `memory`."""
    shown = f"{free // _MIB} of {total // _MIB} MiB are free"
    return (
        warned(shown, "end what needs much: see `ps aux --sort -rss | head`")
        if free < _SCARCE * total
        else passed(shown)
    )


def queue(facts: Facts) -> Finding:
    """The kernel lets many connections wait to be accepted."""
    return judge_queue(_number(facts, "proc/sys/net/core/somaxconn"))


def judge_queue(found: int) -> Finding:
    """See `queue`."""
    if found < _QUEUE:
        return warned(f"somaxconn is {found}: bursts of connections are dropped", "sudo sysctl net.core.somaxconn=4096")
    return passed(f"somaxconn {found}")


def local_ports(facts: Facts) -> Finding:
    """There are enough local ports for connections to endpoints."""
    words = facts.text("proc/sys/net/ipv4/ip_local_port_range").split()
    return judge_local_ports(int(words[0]), int(words[1]))


def judge_local_ports(first: int, last: int) -> Finding:
    """See `local_ports`."""
    count = last - first + 1
    if count < _PORTS:
        hint = 'sudo sysctl net.ipv4.ip_local_port_range="10240 65535"'
        return warned(f"only {count} local ports ({first} to {last})", hint)
    return passed(f"{first} to {last}")


def reuse(facts: Facts) -> Finding:
    """Local ports of closed connections are used again in time."""
    return judge_reuse(_number(facts, "proc/sys/net/ipv4/tcp_tw_reuse"))


def judge_reuse(found: int) -> Finding:
    """See `reuse`: 2 is for connections within the machine, 1 for all."""
    if found == 0:
        return warned("tcp_tw_reuse is 0: ports rest for a minute each", "sudo sysctl net.ipv4.tcp_tw_reuse=2")
    return passed(f"tcp_tw_reuse {found}")


def tracked(facts: Facts) -> Finding:
    """The kernel's table of tracked connections is not about to be full."""
    folder = "proc/sys/net/netfilter"
    return judge_tracked(_number(facts, f"{folder}/nf_conntrack_count"), _number(facts, f"{folder}/nf_conntrack_max"))


def judge_tracked(count: int, most: int) -> Finding:
    """See `tracked`."""
    if most and count > _FULL * most:
        hint = f"sudo sysctl net.netfilter.nf_conntrack_max={2 * most}"
        return warned(f"{count} of {most} tracked connections: beyond, packets are dropped", hint)
    return passed(f"{count} of {most}")


def namespaces(facts: Facts) -> Finding:
    """Whether this user could intercept an app's connections in a network of its own; nothing is wrong without."""
    try:
        most = _number(facts, "proc/sys/user/max_user_namespaces")
    except Unknown:
        return passed("this system has no user namespaces")
    allowed = [
        Path("proc/sys/kernel/unprivileged_userns_clone"),
        Path("proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
    ]
    blocked = most == 0 or _is(facts, allowed[0], "0") or _is(facts, allowed[1], "1")
    if blocked and os.geteuid() != 0:
        return passed("closed to this user: sidecars work through HTTP_PROXY and --upstream all the same")
    return passed("open to this user")


def _gateway(facts: Facts) -> Gateway:
    """The gateway as it is applied, else as it would be by default."""
    try:
        return (facts.applied() or nothing()).mesh().gateway
    except Unknown:
        return Gateway()


def _is(facts: Facts, path: Path, value: str) -> bool:
    try:
        return facts.text(str(path)) == value
    except Unknown:
        return False


def _number(facts: Facts, path: str) -> int:
    return int(facts.text(path))


def _finite(limit: int) -> float:
    return float("inf") if limit == resource.RLIM_INFINITY else float(limit)


def _shown(limit: float) -> str:
    return "unlimited" if limit == float("inf") else f"{limit:.0f}"
