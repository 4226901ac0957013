"""What a sidecar makes of the mesh's configuration."""

from __future__ import annotations

import msgspec
import pytest

from meshctl.model.mesh import AccessLog, Gateway, Listener, Mesh
from meshctl.model.policy import Limit, Retry
from meshctl.model.route import Match, Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.sidecar.environment import Upstream
from meshctl.sidecar.role import SidecarRole

MESH = Mesh(
    name="shop",
    trust_domain="shop.mesh",
    gateway=Gateway(listeners=(Listener("", 8080),)),
    routes=(Route("front", Match(), service="web"),),
    services=(
        Service("web", (Version("v1"),), mtls="permissive"),
        Service("orders", (Version("v1"), Version("v2", weight=0.0))),
    ),
)
ROLE = SidecarRole("web", "v1", 8123)


def routes(mesh: Mesh) -> dict[tuple[str, str], tuple[str | None, tuple[str, ...]]]:
    """Where requests go, and by which hosts, by entry and name."""
    return {(route.entry, route.name): (route.service, route.match.hosts) for route in mesh.routes}


def test_the_ways_in_and_out() -> None:
    """A sidecar has a route to its app, and one to every service by its three names; the gateway's are not its own."""
    assert routes(ROLE.effective(MESH)) == {
        ("inbound", "inbound"): ("local:web", ()),
        ("outbound", "outbound:web"): ("web", ("web", "web.mesh", "web.shop.mesh")),
        ("outbound", "outbound:orders"): ("orders", ("orders", "orders.mesh", "orders.shop.mesh")),
    }


def test_the_app() -> None:
    """The app is a service of one endpoint, beside the services of the mesh, and follows where the app listens."""
    role = msgspec.structs.replace(ROLE)
    assert [service.name for service in role.effective(MESH).services] == ["web", "orders", "local:web"]
    role.app_host, role.app_port = "::1", 9000
    app = role.effective(MESH).services[-1]
    assert app.versions == (Version("v1", (Endpoint("::1", 9000),)),)
    assert not app.ejection.enabled


def test_the_limit_of_a_service_is_its_apps() -> None:
    """What limits a service limits the app in its own sidecar, where all of its callers meet."""
    limited = msgspec.structs.replace(MESH, services=(Service("web", limit=Limit(7)),))
    assert ROLE.effective(limited).services[-1].limit == Limit(7)
    assert ROLE.effective(MESH).services[-1].limit is None


def test_what_services_say_holds_for_callers_without_routes() -> None:
    """The app's calls of a service may take as long, and are sent again, as the service says; those of others, and
    those that come to the app itself, are as by default."""
    retry = Retry(3, ("connect", "503"), per_try=0.5)
    services = (Service("web"), Service("orders", timeout=7.0, retry=retry))
    role = msgspec.structs.replace(ROLE, upstreams=(Upstream("orders"),))
    found = {
        each.name: (each.timeout, each.retry)
        for each in role.effective(msgspec.structs.replace(MESH, services=services)).routes
    }
    assert found == {
        "inbound": (0.0, Retry()),
        "outbound:web": (0.0, Retry()),
        "outbound:orders": (7.0, retry),
        "upstream:orders": (7.0, retry),
    }


@pytest.mark.parametrize(("service", "mesh"), [("web", "permissive"), ("orders", "strict"), ("unknown", "strict")])
def test_the_listeners(service: str, mesh: str) -> None:
    """Mutual TLS as the service says, strict where nothing is said; everything on ports that the system chooses."""
    inbound, outbound = SidecarRole(service, "v1", 1).listeners(MESH)
    assert (inbound.host, inbound.port, inbound.mesh, inbound.entry) == ("127.0.0.1", 0, mesh, "inbound")
    assert (outbound.host, outbound.port, outbound.mesh, outbound.entry) == ("127.0.0.1", 0, "", "outbound")


def test_upstreams() -> None:
    """Each upstream has a listener and a route of its own; a service that nobody knows yet is awaited."""
    role = msgspec.structs.replace(ROLE, upstreams=(Upstream("orders"), Upstream("db", True, 5432)))
    made = role.effective(MESH)
    assert routes(made)["upstream:orders", "upstream:orders"] == ("orders", ())
    assert routes(made)["tcp:db", "tcp:db"] == ("db", ())
    assert {route.name: route.rewrite.host for route in made.routes if route.rewrite.host} == {
        "upstream:orders": "orders",
    }  # fmt: skip
    assert [service.name for service in made.services] == ["web", "orders", "db", "local:web"]
    assert [(each.entry, each.port) for each in role.listeners(MESH)[2:]] == [("upstream:orders", 0), ("tcp:db", 5432)]


def test_a_sidecar_that_is_a_gateway() -> None:
    """With listeners of its own for them, a sidecar serves the configuration's routes as well."""
    role = msgspec.structs.replace(ROLE, gateway=(Listener("", 8081),))
    assert routes(role.effective(MESH))["gateway", "front"] == ("web", ())
    assert role.listeners(MESH)[-1] == Listener("", 8081)


@pytest.mark.parametrize(
    ("configured", "own", "expected"),
    [
        ("stdout", "/logs/a", "/logs/a"),
        ("/var/log/x", "/logs/a", "/logs/a"),
        ("off", "/logs/a", "off"),
        ("off", "", "off"),
    ],
)
def test_the_access_log(configured: str, own: str, expected: str) -> None:
    """Requests are logged in the sidecar's own file, in the configured form, unless that is off."""
    log = AccessLog(configured, "text", False)
    mesh = msgspec.structs.replace(MESH, gateway=Gateway(access_log=log))
    made = msgspec.structs.replace(ROLE, access_log=own).effective(mesh).gateway.access_log
    assert made == AccessLog(expected, "text", False)


def test_an_empty_mesh() -> None:
    """Where nothing was applied a sidecar still has its ways in and out."""
    assert list(routes(ROLE.effective(Mesh()))) == [("inbound", "inbound")]
