"""Ways around a guard by spelling, at a proxy before services that decode, merge and climb as they like."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from meshctl.model.auth import ApiKey, Auth, Need
from meshctl.model.route import Match, PathMatch, Rewrite, Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.proxy.explain import explain

from .echo import Echo
from .lone_proxy import LoneProxy, mesh_of

KEYS = Auth("keys", api_key=ApiKey())


def route(name: str, path: str, service: str, **settings: object) -> Route:
    """A route from a prefix."""
    return Route(name, Match(path=PathMatch("prefix", path)), service=service, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneProxy]:
    """A proxy with a guarded part of a service that is open otherwise, and one that is open altogether."""
    echo = Echo()
    endpoint = (Version("v1", (Endpoint("127.0.0.1", echo.port),)),)
    routes = (
        route("admin", "/admin", "shop", auth=Need(("keys",))),
        route("fence", "/inside", "shop", allow_addresses=("10.0.0.0/8",)),
        route("shop", "/", "shop"),
        route("files", "/files", "files"),
        # What is guarded is called otherwise there.
        route("staff", "/staff", "books", auth=Need(("keys",)), rewrite=Rewrite(prefix="/")),
        route("books", "/books", "books"),
    )
    mesh = mesh_of(
        Service("shop", endpoint), Service("files", endpoint), Service("books", endpoint), routes=routes, auth=(KEYS,)
    )
    running = LoneProxy(tmp_path_factory.mktemp("proxy"), mesh, "gateway")
    yield running
    assert running.end() == []
    echo.close()


def ask(proxy: LoneProxy, path: str) -> tuple[int, bytes]:
    """Status and reason."""
    with proxy.connect("gateway") as client:
        client.send(b"GET %b HTTP/1.1\r\nHost: shop.test\r\n\r\n" % path.encode())
        answer = client.read_response()
    return answer.status, answer.get("x-meshctl-reason") or b""


@pytest.mark.parametrize(
    "path", ["//admin", "/admin%2Fusers", "/%2561dmin", "/x/..;/admin", "/admin;x=1", "/x/..%2fadmin?q", "/%5cinside",
             "/books/..%2fstock", "/books/..;/stock", "/books/%252e%252e/stock"],
)  # fmt: skip
def test_no_way_around(proxy: LoneProxy, path: str) -> None:
    """Where another route guards a part of a service, no path that could be read as one of that part gets to it by a
    route that does not, and `routes explain` says so."""
    assert ask(proxy, path) == (400, b"bad_path")
    assert any(
        line.startswith("path: could also be /") and line.endswith(": bad_path")
        for line in explain(proxy.mesh, "GET", path).policies
    )


@pytest.mark.parametrize("path", ["/", "/x%2Fy;z", "//x", "/files//admin", "/files/%2e%2e%2fadmin", "/administrator;x",
                                  "/books/a%2F..%2Fb", "/books//a;x", "/staff%2Fx"])  # fmt: skip
def test_other_paths_pass(proxy: LoneProxy, path: str) -> None:
    """Other paths go on as they are, however they are spelt; so do all of a service that nobody guards."""
    assert ask(proxy, path) == (200, b"")
    assert not any("bad_path" in line for line in explain(proxy.mesh, "GET", path).policies)


def test_what_comes_and_goes(proxy: LoneProxy) -> None:
    """It holds from the revision on that has the guard, and up to the one that has it no more."""
    mesh = proxy.mesh
    open_routes = tuple(each for each in mesh.routes if each.name not in {"admin", "fence"})
    proxy.apply(mesh_of(*mesh.services, routes=open_routes))
    assert ask(proxy, "//admin") == (200, b"")
    proxy.apply(mesh)
    assert ask(proxy, "//admin") == (400, b"bad_path")
