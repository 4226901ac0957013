"""Endpoints that answer an upload before it is over, and close: clients hear the answer, and no endpoint is blamed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from meshctl.model.policy import Retry
from meshctl.model.route import Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.model.views import ServiceView
from tests.conformance.refusals import read_refusal
from tests.conformance.upstream import OK, Upstream
from tests.conformance.wire import Wire

from .lone_proxy import LoneProxy, mesh_of

LENGTH = 200_000
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LENGTH
REFUSALS = {
    "length": (b"Content-Length: 3\r\n\r\nbig", b"big"),
    "length, and kept": (b"Connection: keep-alive\r\nContent-Length: 3\r\n\r\nbig", b"big"),
    "chunked": (b"Transfer-Encoding: chunked\r\n\r\n3\r\nbig\r\n0\r\n\r\n", b"big"),
    "long": (b"Content-Length: 20000\r\n\r\n" + bytes(20_000), bytes(20_000)),
}


@pytest.fixture
def endpoint() -> Iterator[Upstream]:
    """The endpoint."""
    made = Upstream("a")
    yield made
    made.forget()
    made.listener.close()


@pytest.fixture
def proxy(tmp_path: Path, endpoint: Upstream) -> Iterator[LoneProxy]:
    """A proxy before it."""
    service = Service("a", (Version("v1", (Endpoint("127.0.0.1", endpoint.port),)),))
    running = LoneProxy(tmp_path, mesh_of(service, routes=(Route("all", service="a", retry=Retry(0)),)), "gateway")
    yield running
    assert running.end() == []


def failures(proxy: LoneProxy) -> int:
    """How often the endpoint has failed, as the proxy sees it."""
    (service,) = msgspec.msgpack.decode(proxy.ask("services"), type=list[ServiceView])
    return service.endpoints[0].failures


def begin(client: Wire, endpoint: Upstream) -> Wire:
    """Begins an upload; the endpoint's connection, whose head has been read."""
    client.send(HEAD + b"x")
    wire = endpoint.accept()
    wire.read_head()
    wire.read_exactly(1)
    return wire


@pytest.mark.parametrize("kind", REFUSALS)
def test_an_answer_is_heard_that_comes_before_the_body_has_gone(
    proxy: LoneProxy, endpoint: Upstream, kind: str
) -> None:
    """The endpoint answers and closes, with more of the body on its way to it: the answer is the client's, also where
    the proxy learns of the end by writing."""
    lines, body = REFUSALS[kind]
    for _ in range(6):
        with proxy.connect("gateway") as client:
            wire = begin(client, endpoint)
            os.kill(proxy.process.pid, signal.SIGSTOP)
            try:
                # All of this is there when it goes on, the client's bytes before the endpoint's.
                client.send(bytes(50_000))
                wire.send(b"HTTP/1.1 413 Content Too Large\r\n" + lines)
                wire.reset()
            finally:
                os.kill(proxy.process.pid, signal.SIGCONT)
            answer = client.read_response()
            assert (answer.status, answer.body) == (413, body)
    assert failures(proxy) == 0


def test_who_ends_an_upload_is_not_blamed(proxy: LoneProxy, endpoint: Upstream) -> None:
    """A connection that ends while the request is still being sent says nothing of the endpoint; one that ends
    afterwards does."""
    for _ in range(6):
        with proxy.connect("gateway") as client:
            begin(client, endpoint).reset()
            read_refusal(client, 502, "upstream_reset")
    assert failures(proxy) == 0
    with proxy.connect("gateway") as client:
        wire = begin(client, endpoint)
        client.send(bytes(LENGTH - 1))
        wire.read_exactly(LENGTH - 1)
        wire.reset()
        read_refusal(client, 502, "upstream_reset")
    assert failures(proxy) == 1
    with proxy.connect("gateway") as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        endpoint.serve(OK)
        assert client.read_response().body == b"ok"
