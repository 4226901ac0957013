"""Why a request was refused is for proxies to say: what an application says of that in its own answers goes nowhere, so
that no request that was done is sent again, and no failure hides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from meshctl.model.auth import Auth, ForwardAuth, Need
from meshctl.model.registration import Registration
from meshctl.model.route import Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.model.views import ServiceView
from tests.conformance.upstream import OK, Upstream
from tests.conformance.wire import PATIENCE

from .lone_proxy import LoneProxy, mesh_of
from .members import Authority, MemberUpstream

POST = b"POST /pay HTTP/1.1\r\nHost: orders\r\nContent-Length: 5\r\n\r\n1 EUR"
REASONS = (b"no_endpoint", b"limit_reached", b"upstream_connect", b"breaker_open", b"overloaded", b"deadline_exceeded")
REFUSAL = b"HTTP/1.1 504 Gateway Timeout\r\nX-Meshctl-Reason: upstream_timeout\r\nContent-Length: 0\r\n\r\n"
FRAMINGS = {
    "length": b"Content-Length: 4\r\n\r\ndown",
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n4\r\ndown\r\n0\r\n\r\n",
    "trailers": b"Transfer-Encoding: chunked\r\n\r\n4\r\ndown\r\n0\r\nX-Meshctl-Reason: no_endpoint\r\n\r\n",
    "to the end": b"Connection: close\r\n\r\ndown",
}


@pytest.fixture
def app() -> Iterator[Upstream]:
    """The wrapped app of "orders"."""
    made = Upstream("app")
    yield made
    if made.listener.fileno() >= 0:
        made.forget()
        made.listener.close()


@pytest.fixture
def gateway(authority: Authority, app: Upstream, tmp_path: Path) -> Iterator[LoneProxy]:
    """A gateway that sends everything to the sidecar of "orders"."""
    (inside := tmp_path / "sidecar").mkdir()
    (outside := tmp_path / "gateway").mkdir()
    local = Service("app", (Version("default", (Endpoint("127.0.0.1", app.port),)),))
    own = mesh_of(local, routes=(Route("inbound", service="app", entry="inbound"),))
    sidecar = LoneProxy(inside, own, "inbound/strict", identity=authority.identify("orders"))
    mesh = mesh_of(Service("orders", (Version("default"),)), routes=(Route("all", service="orders"),))
    running = LoneProxy(outside, mesh, "gateway", identity=authority.identify("gateway"))
    where = sidecar.ports["inbound/strict"]
    running.apply(mesh, Registration("orders", "default", "127.0.0.1", where, "p1", 1, "here", 0.0))
    yield running
    assert running.end() == []
    assert sidecar.end() == []


@pytest.mark.parametrize("framing", FRAMINGS)
def test_what_an_app_says_of_reasons_is_not_believed(gateway: LoneProxy, app: Upstream, framing: str) -> None:
    """The app does what it is asked for and passes on another server's answer, head and all: it is asked once, its
    client has the answer without the reason, and it is the app that failed."""
    with gateway.connect("gateway") as client:
        for name in (b"X-Meshctl-Reason", b"x-meshctl-reason"):
            for reason in REASONS:
                client.send(POST)
                wire = app.hear()
                assert wire.read_request().body == b"1 EUR"
                said = b"%b: %b\r\n" % (name, reason)
                wire.send(b"HTTP/1.1 503 Service Unavailable\r\nX-Kept: 1\r\n" + said + FRAMINGS[framing])
                if framing == "to the end":
                    wire.half_close()
                answer = client.read_response()
                assert (answer.status, answer.body, answer.get("x-kept")) == (503, b"down", b"1")
                assert (answer.all("x-meshctl-reason"), answer.trailers) == ([], ())
    assert app.is_silent()
    (service,) = msgspec.msgpack.decode(gateway.ask("services"), type=list[ServiceView])
    assert [each.failures for each in service.endpoints] == [2 * len(REASONS)]


def test_what_the_sidecar_says_still_counts(gateway: LoneProxy, app: Upstream) -> None:
    """The sidecar's own word passes: where it cannot reach its app, the client is told."""
    app.listener.close()
    with gateway.connect("gateway") as client:
        client.send(POST)
        answer = client.read_response()
    assert (answer.status, answer.get("x-meshctl-reason")) == (502, b"upstream_connect")


def test_a_refusal_of_a_sidecar_is_no_verdict(authority: Authority, tmp_path: Path) -> None:
    """A server that is asked about requests says nothing where its sidecar answers for it."""
    verifier = MemberUpstream("verifier", authority.server(authority.service("verifier")))
    way = Auth("ask", forward_auth=ForwardAuth(service="verifier", timeout=PATIENCE), forward=True)
    routes = (Route("all", service="verifier", auth=Need(("ask",))),)
    mesh = mesh_of(Service("verifier", (Version("default"),)), routes=routes, auth=(way,))
    gateway = LoneProxy(tmp_path, mesh, "gateway", identity=authority.identify("gateway"))
    gateway.apply(mesh, verifier.registered())
    with gateway.connect("gateway") as client:
        client.send(POST)
        verifier.serve(REFUSAL)
        answer = client.read_response()
    assert (answer.status, answer.get("x-meshctl-reason")) == (503, b"auth_unavailable")
    verifier.close()
    assert gateway.end() == []


def test_plain_endpoints_do_not_say_why_either(app: Upstream, tmp_path: Path) -> None:
    """So it is with endpoints that have no sidecar, of which clients would believe it."""
    service = Service("orders", (Version("default", (Endpoint("127.0.0.1", app.port),)),))
    gateway = LoneProxy(tmp_path, mesh_of(service, routes=(Route("all", service="orders"),)), "gateway")
    with gateway.connect("gateway") as client:
        for said in (
            b"X-Meshctl-Reason: rate_limited:all\r\n",
            b"X-MESHCTL-REASON: no_route\r\nX-Meshctl-Reason: a\r\n",
        ):
            client.send(POST)
            wire = app.hear()
            wire.read_request()
            wire.send(OK.replace(b"Content", said + b"Content"))
            answer = client.read_response()
            assert (answer.status, answer.body, answer.all("x-meshctl-reason")) == (200, b"ok", [])
    assert gateway.end() == []
