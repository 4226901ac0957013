"""What is attacked beside a gateway: the data planes of two sidecars, one of an app that calls and one of a service.
The honest client is the app, so that its requests pass both, with mutual TLS between them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import psutil

from meshctl.model.mesh import Gateway, Mesh
from meshctl.model.policy import Limits, Overload
from meshctl.model.registration import Registration
from meshctl.model.route import Match, Route
from meshctl.model.service import Endpoint, Service, Version
from tests.proxy.lone_proxy import LoneProxy, mesh_of
from tests.proxy.members import Authority

from .stage import Service as App

INBOUND, PROXY, PORT = "inbound/strict", "outbound", "upstream:orders"


class Pair:
    """See the module. The service is `app`, where one is given."""

    def __init__(self, folder: Path, connections: int, app: int = 0) -> None:
        self._app = None if app else App()
        if self._app is not None:
            app = self._app.port
        authority = Authority(folder)
        # A machine that is busy with other things must not look like a proxy that is.
        gateway = Gateway(admin="off", limits=Limits(connections=connections), overload=Overload(lag=0.0))
        behind = Service("orders", (Version("default", (Endpoint("127.0.0.1", app),)),))
        called = mesh_of(behind, routes=(Route("in", service="orders", entry="inbound"),))
        calling = mesh_of(
            Service("orders", (Version("default"),)),
            routes=(
                Route("named", match=Match(hosts=("orders",)), service="orders", entry=PROXY),
                Route("port", service="orders", entry=PORT),
            ),
        )
        self.callee = self._begun(folder / "callee", called, gateway, INBOUND, authority=authority, name="orders")
        self.caller = self._begun(folder / "caller", calling, gateway, PROXY, PORT, authority=authority, name="web")
        self.port = self.caller.ports[PORT]
        inbound = self.callee.ports[INBOUND]
        here = Registration("orders", "default", "127.0.0.1", inbound, "p", 1, "m", 0.0)
        self.caller.apply(self.caller.mesh, here)

    def __repr__(self) -> str:
        return f"<Pair {self.caller!r} → {self.callee!r}>"

    def _begun(
        self, folder: Path, mesh: Mesh, gateway: Gateway, *entries: str, authority: Authority, name: str
    ) -> LoneProxy:
        folder.mkdir()
        made = msgspec.structs.replace(mesh, gateway=gateway)
        return LoneProxy(folder, made, *entries, identity=authority.identify(name), is_strict=False)

    def ports(self, attack: str) -> tuple[int, int]:
        """What is attacked: a port in the clear and one for TLS."""
        return self.caller.ports[PROXY if attack == "detours" else PORT], self.callee.ports[INBOUND]

    def workers(self) -> list[psutil.Process]:
        """The two of them."""
        return [psutil.Process(each.process.pid) for each in (self.caller, self.callee)]

    def memory(self) -> int:
        """Their resident bytes."""
        return sum(each.memory_info().rss for each in self.workers())

    def close(self) -> list[str]:
        """End it; what the sidecars complained of."""
        said = [*self.caller.end(), *self.callee.end()]
        if self._app is not None:
            self._app.close()
        return said
