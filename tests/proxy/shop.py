"""A wrapped app's side of a small mesh, for tests: "orders" and "web" speak HTTP, "db" does not; what is outside is on
loopback, too, but no route leads there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meshctl.model.mesh import Mesh
from meshctl.model.policy import Retry, UpstreamTimeouts
from meshctl.model.route import Match, Rewrite, Route
from meshctl.model.service import Endpoint, Service, Version
from tests.conformance.upstream import Upstream

from .lone_proxy import LoneProxy, mesh_of

ENTRIES = ("outbound", "upstream:orders", "tcp:db", "gateway")


class Shop:
    """A proxy and whom it can reach."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.orders, self.web, self.db, self.outside = (Upstream(name) for name in ("orders", "web", "db", "outside"))
        self.mesh = self.made(**settings)
        self.proxy = LoneProxy(folder, self.mesh, *ENTRIES)

    def __repr__(self) -> str:
        return f"<Shop {self.proxy!r}>"

    def made(self, stream: float = 300.0, **settings: object) -> Mesh:
        """The mesh, as a sidecar makes it for itself."""
        timeouts = UpstreamTimeouts(stream=stream)
        services = [service(each, timeouts) for each in (self.orders, self.web, self.db)]
        routes = (
            *(Route(f"to-{name}", Match(hosts=names(name)), service=name, entry="outbound", retry=Retry(0))
              for name in ("orders", "web", "db")),
            Route("port-orders", service="orders", entry="upstream:orders", rewrite=Rewrite(host="orders")),
            Route("port-db", service="db", entry="tcp:db"),
            Route("edge", service="orders"),
        )  # fmt: skip
        return mesh_of(*services, routes=routes, **settings)

    def close(self) -> None:
        """End all of it; the proxy must have had nothing to complain of."""
        try:
            assert self.proxy.end() == []
        finally:
            for each in (self.orders, self.web, self.db, self.outside):
                each.forget()
                each.listener.close()


def names(service: str) -> tuple[str, str, str]:
    """The names of a service in URLs."""
    return service, f"{service}.mesh", f"{service}.shop.mesh"


def service(upstream: Upstream, timeouts: UpstreamTimeouts) -> Service:
    """A service whose one endpoint is `upstream`."""
    version = Version("v1", (Endpoint("127.0.0.1", upstream.port),))
    return Service(upstream.name, (version,), timeouts=timeouts, protocol="tcp" if upstream.name == "db" else "http")


@contextmanager
def opened(folder: Path, **settings: object) -> Iterator[Shop]:
    """A shop for as long as it is needed."""
    shop = Shop(folder, **settings)
    try:
        yield shop
    finally:
        shop.close()
