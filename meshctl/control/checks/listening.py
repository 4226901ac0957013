"""Listeners and ports: who has the ports that the mesh wants, and whether what listens is really reached."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from ipaddress import ip_address
from typing import Final

from meshctl.control.checks.facts import Facts
from meshctl.control.checks.finding import Finding, Unknown, counted, failed, passed, warned, worst
from meshctl.control.discovery import machine
from meshctl.control.sockets import holder_of
from meshctl.model.mesh import Listener
from meshctl.model.views import ListenerView

_BIND: Final = 1 << 10
"""CAP_NET_BIND_SERVICE (capabilities(7))."""


def ports(facts: Facts) -> Finding:
    """The ports of the gateway's listeners are its own, or free."""
    applied = facts.applied()
    if applied is None:
        raise Unknown("nothing is applied yet")
    wanted = applied.mesh().gateway.listeners
    gateway = [record for record in facts.living() if record.role == "gateway"]
    if gateway:
        return passed(f"{', '.join(each.shown for each in gateway[0].listeners)}: the gateway's own")
    return worst(_taken(wanted, facts.ports()), f"{', '.join(each.address for each in wanted)}: free")


def _taken(wanted: Iterable[Listener], taken: Collection[int]) -> Iterable[Finding]:
    for listener in wanted:
        if listener.port in taken:
            detail = f"{listener.address} is taken by {holder_of(listener.port)}, and no gateway runs"
            yield warned(detail, "stop it, or listen elsewhere: meshctl gateway up --listen 127.0.0.1:0")


def reserved(facts: Facts) -> Finding:
    """This user may listen on the ports that are wanted."""
    applied = facts.applied()
    wanted = [each.port for each in applied.mesh().gateway.listeners] if applied else []
    try:
        first = int(facts.text("proc/sys/net/ipv4/ip_unprivileged_port_start"))
    except (Unknown, ValueError):
        first = 1024
    return judge_reserved(wanted, first, may_bind=_may_bind(facts))


def judge_reserved(wanted: Iterable[int], first: int, *, may_bind: bool) -> Finding:
    """See `reserved`; `first` is the first port that anybody may take."""
    below = sorted(port for port in wanted if 0 < port < first)
    if below and not may_bind:
        hint = f"sudo sysctl net.ipv4.ip_unprivileged_port_start={below[0]}, or listen on a port from {first} on"
        return failed(f"this user may not listen on port {below[0]}", hint)
    return passed(f"port {below[0]}, which this user may take" if below else f"none below {first}")


def _may_bind(facts: Facts) -> bool:
    if os.geteuid() == 0:
        return True
    try:
        line = next(line for line in facts.text("proc/self/status").splitlines() if line.startswith("CapEff:"))
    except (Unknown, StopIteration):
        return False
    return bool(int(line.split()[1], 16) & _BIND)


def reached(facts: Facts) -> Finding:
    """Each listener of a running proxy accepts connections. Nobody connects to find out: a proxy would have to count
    that as somebody's failed handshake."""
    here = machine()
    living = [record for record in facts.living() if record.machine == here]
    found = [(record.id, listener) for record in living for listener in record.listeners]
    if not found:
        raise Unknown("nothing listens on this machine")
    return judge_reached(found, facts.ports())


def judge_reached(found: Iterable[tuple[str, ListenerView]], listening: Collection[int]) -> Finding:
    """See `reached`; `listening` are the ports that somebody listens on."""
    listeners = list(found)
    return worst(
        (
            failed(
                f"{proxy} should listen on {listener.address}, and does not",
                "see `meshctl gateway status` and its log; start it again",
            )
            for proxy, listener in listeners
            if int(listener.address.rpartition(":")[2]) not in listening
        ),
        counted(len(listeners), "listener"),
    )


def admin(facts: Facts) -> Finding:
    """Metrics and probes are served to this machine alone: they say much of what runs in the mesh."""
    applied = facts.applied()
    configured = [applied.mesh().gateway.admin] if applied else []
    # A proxy of an older version tells only of its URL, which is on localhost where it listens on every address.
    live = [each.admin_address or each.admin.partition("://")[2] for each in facts.living() if each.admin]
    return judge_admin([*configured, *live])


def judge_admin(addresses: Iterable[str]) -> Finding:
    """See `admin`; "off" is no address."""
    hosts = [(each, each.rpartition(":")[0].strip("[]")) for each in addresses if each != "off"]
    for address, host in hosts:
        if not _is_local(host):
            hint = 'write admin = "127.0.0.1:0" in [gateway], unless only Prometheus reaches this network'
            return warned(f"the admin API listens on {address}, where other machines reach it", hint)
    return passed("only from this machine" if hosts else "off")


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def plain(facts: Facts) -> Finding:
    """What other machines reach is encrypted, or known not to be."""
    found = [
        listener
        for record in facts.living()
        for listener in record.listeners
        if record.role == "gateway" and listener.entry == "gateway"
    ]
    return judge_plain(found)


def judge_plain(found: Iterable[ListenerView]) -> Finding:
    """See `plain`. Plain HTTP behind a load balancer is usual: nothing is wrong with it, but people should know."""
    listeners = list(found)
    open_ones = [
        each for each in listeners if not each.tls and not _is_local(each.address.rpartition(":")[0].strip("[]"))
    ]
    if open_ones:
        hint = 'if nothing before it speaks TLS, give the listener tls = { certificate = "mesh" } or one of your own'
        return passed(f"{open_ones[0].address} is plain HTTP, and other machines reach it", hint)
    return passed(f"{counted(len(listeners), 'listener')} of the gateway" if listeners else "no gateway runs")
