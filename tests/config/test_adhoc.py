"""`--route` and `--listen`: a gateway without a file."""

from __future__ import annotations

import pytest

from meshctl.config.adhoc import listener, routes_mesh
from meshctl.config.render import to_toml
from meshctl.errors import MeshError
from meshctl.model.mesh import Listener, Mesh
from meshctl.model.route import Rewrite, Route
from meshctl.model.service import Endpoint
from tests.config.reading import read


def only(spec: str) -> tuple[Route, Endpoint]:
    """The route of one spec and its service's only endpoint."""
    mesh = routes_mesh([spec], None, folder="/work")
    (route,), (service,) = mesh.routes, mesh.services
    assert route.service == service.name
    (version,) = service.versions
    (endpoint,) = version.endpoints
    return route, endpoint


@pytest.mark.parametrize(
    ("spec", "hosts", "prefix", "rewrite", "endpoint"),
    [
        ("/=http://127.0.0.1:8000", (), "/", None, Endpoint("127.0.0.1", 8000)),
        ("/=127.0.0.1:8000", (), "/", None, Endpoint("127.0.0.1", 8000)),
        ("/=http://h/", (), "/", None, Endpoint("h", 80)),
        ("/api/=http://h:9/v2", (), "/api", "/v2", Endpoint("h", 9)),
        ("/api=http://h:9/", (), "/api", "/", Endpoint("h", 9)),
        ("/api=http://h:9/api", (), "/api", None, Endpoint("h", 9)),
        ("/api=https://h", (), "/api", None, Endpoint("h", 443, tls=True)),
        ("/api=http://[::1]:9", (), "/api", None, Endpoint("::1", 9)),
        ("/a=b=http://h:9/x=y", (), "/a=b", "/x=y", Endpoint("h", 9)),
        ("shop.localhost/=http://h", ("shop.localhost",), "/", None, Endpoint("h", 80)),
        ("*.Example.com/x=http://h", ("*.example.com",), "/x", None, Endpoint("h", 80)),
        ("/=unix:/run/a.sock", (), "/", None, Endpoint(unix="/run/a.sock")),
        ("/=unix:a.sock", (), "/", None, Endpoint(unix="/work/a.sock")),
        ("/café=http://h/%7e", (), "/caf%C3%A9", "/~", Endpoint("h", 80)),
    ],
)
def test_one_route(spec: str, hosts: tuple[str, ...], prefix: str, rewrite: str | None, endpoint: Endpoint) -> None:
    """PATH=URL is a prefix route to an endpoint; a path in the URL takes the prefix's place, else nothing does."""
    route, found = only(spec)
    assert (hosts, "prefix", prefix) == (route.match.hosts, route.match.path.kind, route.match.path.value)
    assert Rewrite(prefix=rewrite) == route.rewrite
    assert endpoint == found


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("", "expected PATH=URL"),
        ("/", "expected PATH=URL"),
        ("/=", "expected PATH=URL"),
        ("http://h:1", "expected PATH=URL"),
        ("api=http://h", "begins with a slash"),
        ("/=8000", '"8000" is not an endpoint'),
        ("/=ftp://h", '"ftp://h" is not an endpoint'),
        ("/=http://h:70000", "is not an endpoint"),
        ("/=http://h:0", "has no port"),
        ("/=http://", "has no host"),
        ("/=http://u:p@h", "without user"),
        ("/=http://h/x?y=1", "without user, query or fragment"),
        ("/a b=http://h", 'without "?", "#" and spaces'),
        ("/a?b=http://h", 'without "?", "#" and spaces'),
        ("a_b/=http://h", "expected a host name"),
        ("/=unix:", "is not an endpoint"),
        ("/\x00=http://h", "control characters"),
        ("/=http://h/%zz", "hexadecimal"),
    ],
)
def test_refused(spec: str, reason: str) -> None:
    """What cannot be read is a usage error that quotes it, tells why and shows an example."""
    with pytest.raises(MeshError) as caught:
        routes_mesh([spec], None)
    assert (caught.value.code, caught.value.exit_status) == ("usage", 2)
    assert reason in caught.value.message
    assert caught.value.message.startswith("--route ")
    assert "/api=http://127.0.0.1:9000" in caught.value.hint


def test_one_path_many_urls() -> None:
    """URLs of one path share its load; different paths, or one on another host, are routes of their own."""
    mesh = routes_mesh(["/a=http://h:1", "/a/=https://h:2", "/=http://h:1", "x.y/a=http://h:3"], None)
    assert [(route.name, route.service) for route in mesh.routes] == [("a", "a"), ("root", "root"), ("a-2", "a-2")]
    assert [endpoint.address for endpoint in mesh.services[0].versions[0].endpoints] == ["h:1", "h:2"]


@pytest.mark.parametrize("specs", [["/a=http://h:1/x", "/a=http://h:2/y"], ["/a=http://h:1/x", "/a=http://h:2"]])
def test_one_path_cannot_become_two(specs: list[str]) -> None:
    """URLs of one path must agree on what takes the prefix's place."""
    with pytest.raises(MeshError, match="different path"):
        routes_mesh(specs, None)


def test_the_same_url_twice() -> None:
    """The same URL twice for one path is a mistake, not a larger share."""
    with pytest.raises(MeshError, match="given twice"):
        routes_mesh(["/a=http://h:1", "/a/=h:1"], None)


def test_beside_a_file() -> None:
    """Routes of the command line stand before the file's, with names that the file does not have; the rest stays."""
    base = read('[mesh]\nname = "shop"\n[[routes]]\nname = "a"\nservice = "a"\n[services.a]\nendpoints = ["h:1"]').mesh
    mesh = routes_mesh(["/a=http://h:2"], base)
    assert [route.name for route in mesh.routes] == ["a-2", "a"]
    assert {"a", "a-2"} == {service.name for service in mesh.services}
    assert mesh.name == "shop"
    assert base == routes_mesh([], base)


def test_no_service_is_called_gateway() -> None:
    """The gateway's own name is taken, so a path of that name gives its service another."""
    mesh = routes_mesh(["/gateway=http://h:1"], None)
    assert [(route.name, route.service) for route in mesh.routes] == [("gateway", "gateway-2")]


def test_what_it_makes_is_valid() -> None:
    """Written out as a file, the mesh holds, without a warning."""
    mesh = routes_mesh(
        ["/=http://h", "/V1/A_b.c=http://h/x", "*.a.b/=https://h", "/é=unix:/a", "/gateway=http://h"], None
    )
    loaded = read(to_toml(mesh))
    assert (mesh, ()) == (loaded.mesh, loaded.warnings)


def test_listener() -> None:
    """A listener is host:port."""
    assert Listener("", 0) == listener(":0")
    assert Listener("::1", 80) == listener("[::1]:80")


@pytest.mark.parametrize(
    ("text", "hint"), [("8080", 'did you mean "127.0.0.1:8080"?'), ("", ""), ("h:x", ""), ("h:65536", "")]
)
def test_listener_refused(text: str, hint: str) -> None:
    """A port alone does not say who may connect, so it is refused with the likely meaning."""
    with pytest.raises(MeshError) as caught:
        listener(text)
    assert ("usage", hint) == (caught.value.code, caught.value.hint)


def test_nothing_is_a_default_mesh() -> None:
    """No routes and no file give the defaults."""
    assert Mesh() == routes_mesh([], None)
