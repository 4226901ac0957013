"""The contenders, in one visible table: how each is configured to do the same work, and where it cannot."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from . import caddy, envoy, gateway, haproxy, nginx
from .case import Case
from .programs import program


@dataclass(frozen=True, slots=True)
class Peer:
    """A proxy that can be started: `configure` writes its files, returns its command; `note` says where it differs."""

    name: str
    configure: Callable[[Case], list[str]]
    binary: str
    note: str

    @property
    def is_present(self) -> bool:
        """Whether its program is on this machine."""
        return program(self.binary) is not None


def _relay(case: Case) -> list[str]:
    """The command of the floor; there is nothing to configure."""
    return [sys.executable, str(Path(__file__).with_name("relay.py")), str(case.port), str(case.upstream_port)]


PEERS = {
    peer.name: peer
    for peer in (
        Peer("meshctl", gateway.configure, "meshctl", "CPython with uvloop"),
        Peer("meshctl-blind", gateway.configure_blind, "meshctl", "meshctl that counts no requests"),
        Peer("nginx", nginx.configure, "nginx", "no metrics or histogram; log lines buffered"),
        Peer(
            "haproxy", haproxy.configure, "haproxy", "counters but no histogram; one write per log line; 1 map lookup"
        ),
        Peer("envoy", envoy.configure, "envoy", "statistics and traceparent (nothing sampled) on; routes are a list"),
        Peer("envoy-plain", partial(envoy.configure, tracing=False), "envoy", "envoy without traceparent"),
        Peer("caddy", caddy.configure, "caddy", "no traceparent; one write per log line; routes are a list"),
        Peer("floor", _relay, "uvloop", "a bare uvloop TCP relay: reads no HTTP, logs and counts nothing"),
    )
}
