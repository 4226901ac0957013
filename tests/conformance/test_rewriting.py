"""What a route changes on the way, and the answers it gives without a service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Start
from .refusals import read_refusal
from .running import Gateway
from .upstream import OK, Upstream
from .wire import Message, Wire

ROUTES = """
[gateway]
admin = "off"
access_log = "off"

[[routes]]
path = "/prefix"
service = "echo"
rewrite = { prefix = "/other" }

[[routes]]
path = "/strip"
service = "echo"
rewrite = { prefix = "/" }

[[routes]]
path = "/host"
service = "echo"
rewrite = { host = "inner.test", path = "/fixed" }

[[routes]]
path = { regex = "/users/[0-9]+" }
service = "echo"
rewrite = { path = "/user" }

[[routes]]
path = "/edits"
service = "echo"
request_headers = { set = { X-Set = "new", User-Agent = "edited" }, add = { X-Add = ["1", "2"] }, remove = ["X-Gone"] }
response_headers = { set = { X-Set = "new" }, add = { X-Add = "3" }, remove = ["Server", "X-Gone"] }

[[routes]]
path = "/unix"
service = "unix"

[[routes]]
path = "/go/all"
redirect = { scheme = "https", host = "new.test", port = 8443, path = "/there", status = 308 }

[[routes]]
path = "/go/host"
redirect = { host = "new.test" }

[[routes]]
path = "/go/scheme"
redirect = { scheme = "https", status = 301 }

[[routes]]
path = "/go/port"
redirect = { port = 80 }

[[routes]]
path = "/go/prefix"
redirect = { prefix = "/new", status = 307 }

[[routes]]
path = "/go/root"
redirect = { prefix = "/", status = 303 }

[[routes]]
path = "/teapot"
respond = { status = 418, body = '{"tea": true}', content_type = "application/json" }
response_headers = { set = { Cache-Control = "no-store" } }

[[routes]]
path = "/empty"
respond = { status = 204 }
"""


@pytest.fixture(scope="module")
def echo() -> Iterator[Upstream]:
    """The service behind the routes."""
    made = Upstream("echo")
    yield made
    made.forget()
    made.listener.close()


@pytest.fixture(scope="module")
def unix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """A service on a Unix socket."""
    made = Upstream("unix", unix=tmp_path_factory.mktemp("unix") / "app.sock")
    yield made
    made.forget()
    made.listener.close()


@pytest.fixture(scope="module")
def rewriting(start: Start, echo: Upstream, unix: Upstream) -> Gateway:
    """A gateway with those routes."""
    path = Path(unix.listener.getsockname())
    services = f"""
        [services.echo]
        endpoints = ["127.0.0.1:{echo.port}"]
        [services.unix]
        endpoints = ["unix:{path}"]
    """
    return start(ROUTES + services)


@pytest.fixture
def visitor(rewriting: Gateway) -> Iterator[Wire]:
    """A client of that gateway."""
    with rewriting.connect() as wire:
        yield wire


def ask(visitor: Wire, service: Upstream, target: bytes, *lines: bytes, answer: bytes = OK) -> tuple[Message, Message]:
    """What the service sees of a GET, and what comes back."""
    visitor.send(b"\r\n".join([b"GET %b HTTP/1.1" % target, b"Host: outer.test:8080", *lines, b"", b""]))
    wire = service.hear()
    request = wire.read_request()
    wire.send(answer)
    return request, visitor.read_response()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/prefix", b"/other"),
        (b"/prefix/", b"/other/"),
        (b"/prefix/a/../b?c=d", b"/other/b?c=d"),
        (b"/strip", b"/"),
        (b"/strip/a", b"/a"),
        (b"/strip//a", b"/a"),
        (b"/strip?x", b"/?x"),
        (b"/host/a?b=c", b"/fixed?b=c"),
        (b"/users/7?x=y", b"/user?x=y"),
    ],
)
def test_rewritten_target(visitor: Wire, echo: Upstream, target: bytes, expected: bytes) -> None:
    """The service is asked for the rewritten path, with the query as it came."""
    assert ask(visitor, echo, target)[0].target == expected


def test_rewritten_host(visitor: Wire, echo: Upstream) -> None:
    """The service sees the route's host, and the client's in X-Forwarded-Host."""
    request, _ = ask(visitor, echo, b"/host")
    assert (request.get("host"), request.get("x-forwarded-host")) == (b"inner.test", b"outer.test:8080")


def test_edited_fields(visitor: Wire, echo: Upstream) -> None:
    """Fields are removed, set and added in both directions, whatever their spelling and number."""
    lines = [b"x-set: old", b"X-SET: older", b"X-Add: 0", b"x-gone: 1", b"X-Kept: 1", b"User-Agent: mine"]
    raw = b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: 0", b"server: x", *lines, b"", b""])
    request, answer = ask(visitor, echo, b"/edits", *lines, answer=raw)
    assert (request.all("x-set"), request.all("x-add")) == ([b"new"], [b"0", b"1", b"2"])
    assert (request.all("x-gone"), request.all("x-kept"), request.all("user-agent")) == ([], [b"1"], [b"edited"])
    assert (answer.all("x-set"), answer.all("x-add")) == ([b"new"], [b"0", b"3"])
    assert (answer.all("x-gone"), answer.all("server"), answer.all("x-kept")) == ([], [], [b"1"])


def test_unix_socket(visitor: Wire, unix: Upstream) -> None:
    """A service on a Unix socket is one like any other."""
    request, answer = ask(visitor, unix, b"/unix/a", b"X-A: b")
    assert (request.target, request.get("x-a"), answer.body) == (b"/unix/a", b"b", b"ok")


@pytest.mark.parametrize(
    ("target", "status", "location"),
    [
        (b"/go/all/x?q=1", 308, b"https://new.test:8443/there?q=1"),
        (b"/go/host/x", 302, b"http://new.test/go/host/x"),
        (b"/go/scheme/x?q", 301, b"https://outer.test/go/scheme/x?q"),
        (b"/go/port/", 302, b"http://outer.test/go/port/"),
        (b"/go/prefix/x/../y?z", 307, b"http://outer.test:8080/new/y?z"),
        (b"/go/prefix", 307, b"http://outer.test:8080/new"),
        (b"/go/root//evil.test/", 303, b"http://outer.test:8080/evil.test/"),
    ],
)
def test_redirect(visitor: Wire, target: bytes, status: int, location: bytes) -> None:
    """A redirect's Location has what the route gives, and the rest from the request."""
    visitor.send(b"GET %b HTTP/1.1\r\nHost: outer.test:8080\r\n\r\n" % target)
    answer = visitor.read_response()
    assert (answer.status, answer.get("location"), answer.body) == (status, location, b"")
    assert answer.get("x-request-id")
    assert answer.get("x-meshctl-reason") is None


def test_fixed_answers(visitor: Wire) -> None:
    """A route answers with its status, type, body and fields; 204 has no body and no length."""
    visitor.send(b"GET /teapot HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET /empty HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = visitor.read_response()
    assert (answer.status, answer.body) == (418, b'{"tea": true}')
    assert (answer.get("content-type"), answer.get("cache-control")) == (b"application/json", b"no-store")
    empty = visitor.read_response()
    assert (empty.status, empty.get("content-length"), empty.get("content-type")) == (204, None, None)
    visitor.send(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
    read_refusal(visitor, 404, "no_route")
