"""Traces in a proxy with real connections: which trace a request goes on with, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from meshctl.model.policy import Retry
from meshctl.model.route import Match, PathMatch, Route
from meshctl.model.tracing import Span, Traced, Tracing
from tests.conformance.wire import Message

from .lone_proxy import mesh_of
from .passage import Passage, answer, request

TRACE, CALLER = "12345678901234567890123456789012", "1234567890123456"
ALL = Tracing("http://127.0.0.1:1", sample=1.0)
NONE = Tracing("http://127.0.0.1:1", sample=0.0)


class TracedPassage(Passage):
    """A passage that asks for traces."""

    def trace(self, tracing: Tracing | None, *routes: Route) -> None:
        """Have it trace so, and serve these routes."""
        made = routes or (Route("r", service="app", retry=Retry(0)),)
        self.app.forget()
        self.proxy.apply(mesh_of(self.service, routes=made, tracing=tracing))

    def spans(self, count: int) -> list[Span]:
        """The next spans it tells of, once there are so many; servers' before clients'."""
        found: list[Span] = []
        while len(found) < count:
            told = self.proxy.told(Traced)
            assert told.dropped == 0
            found += told.spans
        return sorted(found, key=lambda span: (not span.is_server, span.start))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TracedPassage]:
    """The proxy that these tests share."""
    made = TracedPassage(tmp_path_factory.mktemp("traced"))
    yield made
    made.close()


@pytest.fixture
def passage(shared: TracedPassage) -> Iterator[TracedPassage]:
    """The same, with nothing left of the test before."""
    yield shared
    shared.trace(None)
    shared.proxy.forget()


def parent_of(seen: Message) -> tuple[str, str, str]:
    """Trace, span and flags of the one traceparent that a service got."""
    (value,) = seen.all("traceparent")
    version, trace, span, flags = value.decode().split("-")
    assert (version, len(trace), len(span)) == ("00", 32, 16)
    return trace, span, flags


def test_spans(passage: TracedPassage) -> None:
    """A request has a span of its own in the caller's trace, its try one within, and the service is told of that."""
    passage.trace(ALL, Route("r", Match(path=PathMatch("prefix", "/v1")), service="app", retry=Retry(0)))
    seen, _ = passage.pass_through(
        request("/v1/a?q=secret", f"traceparent: 00-{TRACE}-{CALLER}-01", "tracestate: a=1", "User-Agent: t/1"),
        answer(status=404),
    )
    server, client = passage.spans(2)
    assert parent_of(seen) == (TRACE, client.id, "01")
    assert seen.all("tracestate") == [b"a=1"]
    assert (server.trace, server.parent, server.state, server.name) == (TRACE, CALLER, "a=1", "GET /v1")
    assert (client.trace, client.parent, client.name) == (TRACE, server.id, "GET")
    assert server.start <= client.start <= client.end <= server.end
    assert (server.failed, client.failed) == (False, True)
    assert len(server.attributes.pop("meshctl.request_id")) == 32
    assert server.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 404,
        "http.route": "/v1",
        "network.protocol.version": "1.1",
        "url.path": "/v1/a",
        "url.scheme": "http",
        "url.query": "q=secret",
        "server.address": "a",
        "client.address": "127.0.0.1",
        "user_agent.original": "t/1",
        "meshctl.entry": "gateway",
        "meshctl.retries": 0,
        "meshctl.route": "r",
        "meshctl.service": "app",
        "meshctl.version": "v1",
        "meshctl.endpoint": f"127.0.0.1:{passage.app.port}",
    }
    assert client.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 404,
        "error.type": "404",
        "network.protocol.version": "1.1",
        "network.peer.address": "127.0.0.1",
        "network.peer.port": passage.app.port,
        "server.address": "127.0.0.1",
        "server.port": passage.app.port,
        "url.full": "http://a/v1/a?q=secret",
        "peer.service": "app",
        "meshctl.service": "app",
        "meshctl.version": "v1",
        "meshctl.endpoint": f"127.0.0.1:{passage.app.port}",
    }
    # The access log and the trace are found by each other.
    assert passage.proxy.line(lambda line: line["path"] == "/v1/a?q=secret")["trace_id"] == TRACE
