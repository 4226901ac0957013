"""What a proxy still holds once everybody has left: nothing, which its own views and the system tell."""

from __future__ import annotations

import os

import msgspec
import psutil

from meshctl.model.views import ServiceView

from .lone_proxy import LoneProxy


def files(proxy: LoneProxy) -> int:
    """How many files it has open."""
    return len(os.listdir(f"/proc/{proxy.process.pid}/fd"))


def own_files(proxy: LoneProxy) -> int:
    """How many of them are no connections. Asked once it has served somebody, when it has opened what it needs."""
    connections = psutil.Process(proxy.process.pid).net_connections("tcp")
    return files(proxy) - sum(each.status != psutil.CONN_LISTEN for each in connections)


def services(proxy: LoneProxy) -> list[ServiceView]:
    """Its services as it sees them now."""
    return msgspec.msgpack.decode(proxy.ask("services"), type=list[ServiceView])


def held(proxy: LoneProxy) -> dict[str, int]:
    """What it holds for clients, by what that is; without what is 0."""
    sample = proxy.sample()
    found = {"requests": sample.in_flight, "clients": sample.connections}
    for service in services(proxy):
        for endpoint in service.endpoints:
            found[f"{endpoint.address} in flight"] = endpoint.in_flight
        if service.limit is not None:
            found[f"{service.name} places"] = service.limit.in_flight
            found[f"{service.name} waiting"] = service.limit.waiting
    return {name: count for name, count in found.items() if count}


def nothing_left(proxy: LoneProxy) -> None:
    """Wait until it holds nothing for any client."""
    try:
        proxy.until(lambda: not held(proxy))
    except AssertionError:
        raise AssertionError(f"still held: {held(proxy)}") from None


def no_files_left(proxy: LoneProxy, before: int) -> None:
    """Wait until it has no more files open than before."""
    try:
        proxy.until(lambda: files(proxy) <= before)
    except AssertionError:
        raise AssertionError(f"{files(proxy)} files, {before} before") from None
