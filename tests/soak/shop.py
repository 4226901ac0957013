"""The mesh that is soaked: a gateway with two workers, on a plain and a TLS listener, and three services with mutual
TLS between them, each app of theirs in a process of its own behind its sidecar.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import psutil

from tests.e2e.gateway import Gateway, meshctl
from tests.e2e.sidecar import Wrapped
from tests.proxy.issuer import Issuer

APP = Path(__file__).with_name("app.py")
MESH = """
[mesh]
name = "soak"
[gateway]
listen = ["127.0.0.1:0", { address = "127.0.0.1:0", tls = { certificate = "mesh" } }]
workers = 2
access_log = "access.log"
cache_bytes = "4MiB"
[auth.users]
jwt = { issuer = "https://id.example.com", audience = "api", algorithms = ["ES256"], keys = "jwks.json" }
headers = { x-user = "sub" }
[[routes]]
path = "/orders"
service = "orders"
[[routes]]
path = "/upload"
service = "orders"
[[routes]]
path = "/ws"
service = "orders"
[[routes]]
path = "/web"
service = "web"
[[routes]]
path = "/catalogue"
service = "catalogue"
cache = { default = "2s" }
[[routes]]
path = "/limited"
service = "catalogue"
rate_limits = { limit = "60/m", burst = 5, by = { header = "x-tenant" }, name = "tenant" }
quotas = { limit = 1_000_000, per = "day", by = { header = "x-tenant" } }
[[routes]]
path = "/users"
service = "orders"
auth = "users"
[[routes]]
path = "/page/{id}"
parts = [
  { name = "order", service = "orders", path = "/orders/{path.id}" },
  { name = "item", service = "catalogue", path = "/catalogue/{path.id}", response_body.keep = ["$.app"] },
]
[services.web]
[services.catalogue]
[services.orders.versions.v1]
weight = 90
[services.orders.versions.v2]
weight = 10
"""
PLACES = (("orders", "v1"), ("orders", "v2"), ("catalogue", ""), ("catalogue", ""), ("web", ""), ("web", ""))
"""Which service and version each wrapped app belongs to."""


class Shop:
    """The mesh, running. What its processes say goes to files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.home, self.folder, self.file = folder / "home", folder, folder / "mesh.toml"
        self.issuer = Issuer()
        self.started = 0
        (folder / "jwks.json").write_bytes(self.issuer.jwks)
        self.write("")
        self.wrapped: list[Wrapped] = []
        self.gateway = Gateway(self.home, folder / "gateway", ["-c", self.file])
        self.gateway.forgiven = {"worker_ended"}
        try:
            self.gateway.until_ready()
            for place in range(len(PLACES)):
                self.wrapped.append(self.wrap(place))
            for each in self.wrapped:
                each.until_registered()
        except BaseException:
            self.end()
            raise

    def __repr__(self) -> str:
        return f"<Shop {self.gateway!r}>"

    def write(self, more: str) -> None:
        """Have mesh.toml end with `more`."""
        self.file.write_text(MESH + more)

    def wrap(self, place: int) -> Wrapped:
        """Start the app of a place."""
        service, version = PLACES[place]
        which = ("--service", service, *(("--version", version) if version else ()))
        self.started += 1
        return Wrapped(self.home, self.folder / f"app{self.started}", which, (sys.executable, APP))

    def processes(self) -> dict[int, str]:
        """What each process of meshctl's is; the apps are none."""
        found = {self.gateway.pid: "gateway"} | dict.fromkeys(self.gateway.workers(), "gateway worker")
        for (service, version), each in zip(PLACES, self.wrapped, strict=True):
            name = f"{service} {version}".strip()
            found[each.process.pid] = f"{name} sidecar"
            with contextlib.suppress(psutil.Error):
                children = psutil.Process(each.process.pid).children()
                found |= {child.pid: f"{name} worker" for child in children if child.pid != each.app}
        return found

    def command(self, *arguments: object) -> str:
        """Run a command in this process; what went wrong, "" for nothing."""
        ended = meshctl(self.home, *arguments)
        return f"{' '.join(map(str, arguments))}: {ended.status} {ended.err}" if ended.status else ""

    def end(self) -> list[str]:
        """End all of it in order; which did not end well."""
        wrong = []
        for each in (*self.wrapped, self.gateway):
            try:
                each.check()
            except (AssertionError, psutil.Error) as error:
                wrong.append(f"{each!r}: {error}")
            finally:
                each.kill()
        return wrong
