"""Who gets in at a sidecar's inbound listener: members of the mesh, by what their certificate proves, and nobody else.
Each refusal has its reason, and disturbs nobody."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from meshctl.model.route import Route
from meshctl.model.service import Endpoint, Service, Version
from tests.conformance.upstream import OK, Upstream
from tests.conformance.wire import Wire

from .lone_proxy import LoneProxy, mesh_of
from .members import HTTP, RAW, Authority, Leaf, shake, spiffe

GET = b"GET /items HTTP/1.1\r\nHost: orders\r\n\r\n"
BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


@pytest.fixture(scope="module")
def app() -> Iterator[Upstream]:
    """The wrapped app of "orders"."""
    made = Upstream("app")
    yield made
    made.forget()
    made.listener.close()


@pytest.fixture(scope="module")
def sidecar(authority: Authority, app: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneProxy]:
    """The sidecar of "orders", whose inbound listener is strict."""
    running = LoneProxy(
        tmp_path_factory.mktemp("sidecar"), inbound(app), "inbound/strict", identity=authority.identify("orders")
    )
    yield running
    assert running.end() == []


def inbound(app: Upstream, **settings: object):  # type: ignore[no-untyped-def]
    """The mesh of a sidecar that passes everything on to `app`."""
    local = Service("app", (Version("default", (Endpoint("127.0.0.1", app.port),)),))
    return mesh_of(local, routes=(Route("inbound", service="app", entry="inbound"),), **settings)


def call(sidecar: LoneProxy, authority: Authority, leaf: Leaf | None, *protocols: str) -> Wire:
    """A connection with the certificate of `leaf`."""
    return shake(sidecar.ports["inbound/strict"], authority.client(leaf, *protocols))


def test_a_member_is_served(sidecar: LoneProxy, authority: Authority, app: Upstream) -> None:
    """A member's request reaches the app with the member's identity and what it said of those it speaks for, and
    nothing is added to that; what it says of its own identity is not believed."""
    with call(sidecar, authority, authority.service("web")) as client:
        client.send(
            b"GET /items HTTP/1.1\r\nHost: orders\r\nX-Forwarded-For: 203.0.113.7\r\nx-forwarded-proto: https\r\n"
            b"Forwarded: for=203.0.113.7\r\nVia: 1.1 meshctl\r\nX-Meshctl-Identity: spiffe://shop.mesh/service/bank\r\n"
            b"X-Other: kept\r\n\r\n"
        )
        wire = app.hear()
        request = wire.read_request()
        assert request.all("x-meshctl-identity") == [spiffe("web").encode()]
        assert request.get("x-forwarded-for") == b"203.0.113.7"
        assert request.get("x-forwarded-proto") == b"https"
        assert request.get("x-forwarded-host") is None
        assert request.get("forwarded") == b"for=203.0.113.7"
        assert request.get("via") == b"1.1 meshctl"
        assert request.get("x-other") == b"kept"
        wire.send(OK)
        assert client.read_response().body == b"ok"
