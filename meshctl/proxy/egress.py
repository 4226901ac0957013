"""What a wrapped app asks for outside the mesh: whether it may, and the hosts in use, which are endpoints like others
but for where they come from: no configuration lists them, a request names them.

There is a bounded number of them and they are dropped once nobody uses them, so an app may ask for a million hosts. All
are counted as one service: a label never comes from a request. Must not know how bytes get there.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from meshctl.model.address import bare_address, parse_address
from meshctl.model.names import EGRESS
from meshctl.model.policy import Ejection, Retry, UpstreamTimeouts
from meshctl.model.route import Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.proxy.dialing import Unreached, dial, spoken
from meshctl.proxy.endpoint import LiveEndpoint, P
from meshctl.proxy.service import LiveService, LiveVersion
from meshctl.proxy.snapshot import CompiledRoute
from meshctl.wire.target import split_port

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.worker import Worker

NAME: Final = EGRESS
MOST_HOSTS: Final = 1_024
SWEEP_EVERY: Final = 30.0
"""Seconds between two looks for hosts that nobody uses."""

# The app did without a proxy before: its own timeouts decide, ours only end what nobody waits for any more.
_TIMEOUTS: Final = UpstreamTimeouts(connect=10.0, response=300.0, stream=3600.0, idle=15.0)
# A connection that fails has already been tried at every address; one that was kept may end under a request.
_RETRY: Final = Retry(1, ("reset",))


def elsewhere(exchange: Exchange) -> CompiledRoute | None:
    """The route of a request that none of its listener's routes takes: out of the mesh, where the listener is the
    app's own and that is allowed. None once the request is refused."""
    request = exchange.request
    host = request.host
    if exchange.stream.entry != "outbound":
        where = f" of host {host}" if host else ""
        exchange.reply("no_route", f"no route takes {request.method} {exchange.path}{where}")
        return None
    if not host or split_port(request.authority.decode("latin-1")) == 0:
        exchange.reply("bad_host", "the request names no host" if not host else "there is no port 0")
        return None
    mesh = exchange.snapshot.mesh
    name = service_meant(host, mesh.trust_domain)
    if name:
        exchange.reply("unknown_service", _joined(f'the mesh has no service "{name}"', _nearest(exchange, name)))
        return None
    if mesh.egress == "deny":
        said = f'{host} is no service of the mesh, and egress = "deny" in [mesh] keeps requests in it'
        exchange.reply("egress_denied", _joined(said, _nearest(exchange, host)))
        return None
    return the_way_out(exchange.worker)


def the_way_out(worker: Worker) -> CompiledRoute:
    """The route to hosts outside the mesh."""
    if worker.egress is None:
        worker.egress = Egress(worker)
    return worker.egress.route


def service_meant(host: str, trust_domain: str) -> str:
    """The name before ".mesh" or the trust domain; "" where the host has no such end."""
    for end in (f".{trust_domain}", ".mesh"):
        if host.endswith(end):
            return host.removesuffix(end)
    return ""


def _nearest(exchange: Exchange, name: str) -> str:
    from meshctl.config.problems import did_you_mean

    # A sidecar's own app is a service of its own, whose name nobody can call.
    return did_you_mean(name, sorted(each for each in exchange.snapshot.services if ":" not in each))


def _joined(said: str, hint: str) -> str:
    return f"{said}; {hint}" if hint else said


class Egress:
    """The hosts outside the mesh that are in use by one worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._hosts: dict[tuple[str, int], Outside] = {}
        self._sweeping = False
        config = Service(NAME, (Version(""),), timeouts=_TIMEOUTS, ejection=Ejection(enabled=False))
        service = LiveService(worker, config)
        self._version = _AnyHost(worker, config, "", 1.0, ())
        self._version.hosts = self
        service.set_versions([self._version])
        self.route = CompiledRoute(Route(NAME, service=NAME, retry=_RETRY), service, 0, worker, None)

    def __repr__(self) -> str:
        return f"<Egress {len(self._hosts)} hosts>"

    def find(self, host: str, port: int) -> Outside | None:
        """The endpoint for a host, which is made where there is none; None where too many are in use."""
        name = (host, port)
        known = self._hosts.pop(name, None)
        if known is None:
            if len(self._hosts) >= MOST_HOSTS and not self._make_room():
                return None
            known = Outside(self._worker, self._version, host, port)
            if not self._sweeping:
                self._sweep_later()
        # The last one used is the last in order.
        self._hosts[name] = known
        known.limit = self._worker.snapshot.mesh.gateway.limits.upstream_connections
        return known

    def _make_room(self) -> bool:
        """Drop the host that was not used for longest."""
        for name, each in self._hosts.items():
            if not each.in_flight:
                each.retire()
                del self._hosts[name]
                return True
        return False

    def _sweep_later(self) -> None:
        self._sweeping = True
        self._worker.loop.call_later(SWEEP_EVERY, self.sweep)

    def sweep(self) -> None:
        """Forget the hosts that nobody uses."""
        self._sweeping = False
        self._hosts = {name: each for name, each in self._hosts.items() if each.in_flight or each.opened}
        if self._hosts:
            self._sweep_later()


class _AnyHost(LiveVersion):
    """The one version of what is outside: the endpoint is the one that the request names."""

    hosts: Egress

    def pick(self, exchange: Exchange) -> LiveEndpoint | None:
        request = exchange.request
        towards: tuple[str, int] | None = getattr(exchange.stream, "towards", None)
        if towards is not None:
            # It connected there: what the request says of it does not matter.
            return self.hosts.find(*towards)
        port = split_port(request.authority.decode("latin-1"))
        return self.hosts.find(request.host, 80 if port is None else port)


class Outside(LiveEndpoint):
    """A host outside the mesh, on one port."""

    def __init__(self, worker: Worker, version: LiveVersion, host: str, port: int) -> None:
        config = Endpoint(host, port)
        super().__init__(worker, version.config, (version.service, version.name, config, config.address), config)
        self.is_compared = False

    async def _connect(self, make: Callable[[], P], *, is_raw: bool) -> P:
        try:
            end = await dial(self.config.host, self.config.port, self._is_own)
        except Unreached as problem:
            self.counters.connect(problem.reason)
            raise
        return await spoken(make, end)

    def _is_own(self, address: str, port: int) -> bool:
        """Whether this is where the app's requests come in: they would come in again."""
        for listener in self.worker.listeners.values():
            if listener.entry == "outbound":
                host, own = parse_address(listener.address)
                if own == port and _reaches(address, host):
                    return True
        return False


def _reaches(address: str, host: str) -> bool:
    """Whether who connects to `address` meets a listener on `host`."""
    target = bare_address(address)
    if target.is_unspecified:
        # The system takes it for the loopback address.
        target = ip_address("127.0.0.1" if target.version == 4 else "::1")
    if host in {"", "0.0.0.0", "::"}:
        return _is_local(str(target))
    return (host == "localhost" and target.is_loopback) or str(target) == host


def _is_local(address: str) -> bool:
    """Whether the address is one of this machine's: only those can be bound."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
