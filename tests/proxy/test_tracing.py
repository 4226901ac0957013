"""Traces in a proxy with real connections: which trace a request goes on with, and what is told of it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
import pytest

from meshctl.model.policy import Retry
from meshctl.model.route import Match, PathMatch, Respond, Route
from meshctl.model.steering import Fault, Steering
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


VALID = f"00-{TRACE}-{CALLER}-01"


@pytest.mark.parametrize(
    ("lines", "trace"),
    [
        ([], None),
        ([f"traceparent: {VALID}"], TRACE),
        ([f"TraceParent: {VALID}"], TRACE),
        ([f"trace-parent: {VALID}"], None),
        ([f"trace.parent: {VALID}"], None),
        ([f"traceparent: {VALID}", f"traceparent: {VALID}"], None),
        ([f"traceparent:\t {VALID} \t"], TRACE),
        ([f"traceparent: {VALID}."], None),
        ([f"traceparent: {VALID}-more"], None),
        ([f"traceparent: cc{VALID[2:]}"], TRACE),
        ([f"traceparent: cc{VALID[2:]}-more"], TRACE),
        ([f"traceparent: cc{VALID[2:]}.more"], None),
        ([f"traceparent: ff{VALID[2:]}"], None),
        ([f"traceparent: .0{VALID[2:]}"], None),
        ([f"traceparent: 0{VALID}"], None),
        ([f"traceparent: {VALID[1:]}"], None),
        ([f"traceparent: 00-{'0' * 32}-{CALLER}-01"], None),
        ([f"traceparent: 00-{TRACE[:-1]}.-{CALLER}-01"], None),
        ([f"traceparent: 00-{TRACE.replace('1', 'A')}-{CALLER}-01"], None),
        ([f"traceparent: 00-{TRACE}3-{CALLER}-01"], None),
        ([f"traceparent: 00-{TRACE[:-1]}-{CALLER}-01"], None),
        ([f"traceparent: 00-{TRACE}-{'0' * 16}-01"], None),
        ([f"traceparent: 00-{TRACE}-{CALLER}7-01"], None),
        ([f"traceparent: 00-{TRACE}-{CALLER[1:]}-01"], None),
        ([f"traceparent: 00-{TRACE}-{CALLER}-.0"], None),
        ([f"traceparent: 00-{TRACE}-{CALLER}-001"], None),
        ([f"traceparent: 00-{TRACE}-{CALLER}-1"], None),
        ([f"b3: {TRACE}-{CALLER}-1"], TRACE),
        ([f"X-B3-TraceId: {TRACE[16:]}", f"X-B3-SpanId: {CALLER}", "X-B3-Sampled: 0"], "0" * 16 + TRACE[16:]),
        ([f"b3: {'9' * 32}-{CALLER}-1", f"traceparent: {VALID}"], TRACE),
        ([f"b3: {TRACE}-{CALLER}-1", "traceparent: nonsense"], None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("tracing", [ALL, NONE], ids=["recorded", "unrecorded"])
def test_which_trace(passage: TracedPassage, tracing: Tracing, lines: list[str], trace: str | None) -> None:
    """A request goes on with its caller's trace (W3C Trace Context, B3) as one of its spans, or with a new trace where
    the caller says none; a tracestate goes with its own trace alone."""
    passage.trace(tracing)
    seen, _ = passage.pass_through(request("/", *lines, "tracestate: a=1"))
    found, span, _ = parent_of(seen)
    assert span not in (CALLER, "0" * 16)
    if trace is not None:
        assert found == trace
        assert seen.all("tracestate") == ([b"a=1"] if any("traceparent" in line.lower() for line in lines) else [])
    else:
        assert found not in (TRACE, "0" * 32)
        assert seen.all("tracestate") == []


@pytest.mark.parametrize(
    ("tracing", "lines", "flags"),
    [
        (ALL, [], "01"),
        (NONE, [], "00"),
        (ALL, [f"traceparent: 00-{TRACE}-{CALLER}-00"], "00"),
        (NONE, [f"traceparent: 00-{TRACE}-{CALLER}-01"], "01"),
        (NONE, [f"traceparent: 00-{TRACE}-{CALLER}-02"], "02"),
        (NONE, [f"traceparent: 00-{TRACE}-{CALLER}-ff"], "03"),
        (ALL, [f"b3: {TRACE}-{CALLER}-0"], "00"),
        (NONE, [f"b3: {TRACE}-{CALLER}-d"], "01"),
        (ALL, [f"b3: {TRACE}-{CALLER}"], "01"),
        (NONE, [f"b3: {TRACE}-{CALLER}"], "00"),
        (ALL, ["b3: 0"], "00"),
        (NONE, ["b3: 1"], "01"),
    ],
)  # fmt: skip
def test_who_decides(passage: TracedPassage, tracing: Tracing, lines: list[str], flags: str) -> None:
    """Whether a trace is recorded is decided by whoever began it; here where that was nobody."""
    passage.trace(tracing)
    seen, _ = passage.pass_through(request("/", *lines))
    trace, _, found = parent_of(seen)
    assert found == flags
    if flags in ("01", "03"):
        server, client = passage.spans(2)
        assert {server.trace, client.trace} == {trace}
    else:
        passage.proxy.forget()


def test_a_share(passage: TracedPassage) -> None:
    """Of traces that begin here the share is recorded that was asked for, each whole, by the trace's number alone."""
    passage.trace(Tracing("http://127.0.0.1:1", sample=0.25), Route("r", respond=Respond(200)))
    count = 2_000
    with passage.proxy.connect("gateway") as client:
        for _ in range(count):
            client.send(request("/share"))
            assert client.read_response().status == 200
    sampled = [span.trace for span in passage.spans(count // 5)]
    assert all(int(trace[16:], 16) < 0.25 * 2**64 for trace in sampled)
    passage.proxy.until(lambda: sum(line["path"] == "/share" for line in passage.proxy.lines(0)) == count)
    traces = [line["trace_id"] for line in passage.proxy.lines(0) if line["path"] == "/share"]
    wanted = {trace for trace in traces if int(trace[16:], 16) < 0.25 * 2**64}
    assert abs(len(wanted) - count / 4) < count / 20
    while missing := wanted - set(sampled):
        sampled += [span.trace for span in passage.spans(1)]
        assert len(sampled) <= len(wanted), missing


def test_retries(passage: TracedPassage) -> None:
    """Each try is a span of its own, of which the service is told; a refusal of ours is one without any."""
    passage.trace(ALL, Route("r", Match(path=PathMatch("prefix", "/a")), service="app", retry=Retry(1, ("503",))))
    with passage.proxy.connect("gateway") as client:
        client.send(request("/a"))
        _, first = passage.app.serve(answer(status=503))
        again = passage.app.hear()
        second = again.read_request()
        again.send(answer())
        assert client.read_response().status == 200
    server, one, two = passage.spans(3)
    assert [parent_of(first)[1], parent_of(second)[1]] == [one.id, two.id]
    assert [one.parent, two.parent] == [server.id, server.id]
    assert (server.failed, server.attributes["meshctl.retries"], server.parent) == (False, 1, "")
    assert (one.failed, one.attributes["error.type"], "http.request.resend_count" in one.attributes) == (
        True,
        "503",
        False,
    )
    assert (two.failed, two.attributes["http.request.resend_count"]) == (False, 1)
    assert one.end <= two.start
    assert passage.refuse(request("/b", method="PURGE")).status == 404
    (refused,) = passage.spans(1)
    assert (refused.name, refused.failed, refused.attributes["meshctl.reason"]) == ("HTTP", False, "no_route")
    assert refused.attributes["http.request.method"] == "_OTHER"


def test_a_client_that_leaves(passage: TracedPassage) -> None:
    """What nobody waited for any more is told as it was: failed, and why."""
    passage.trace(ALL)
    with passage.proxy.connect("gateway") as client:
        client.send(request("/"))
        passage.app.accept().read_request()
    server, client_span = passage.spans(2)
    assert (server.failed, server.attributes["meshctl.reason"]) == (False, "client_gone")
    assert client_span.attributes["error.type"] == "client_gone"


def test_what_is_not_asked_for(passage: TracedPassage) -> None:
    """Without [tracing] a caller's trace goes on as it came, and nothing is told."""
    passage.trace(None)
    seen, _ = passage.pass_through(request("/", f"traceparent: {VALID}", "tracestate: a=1", "b3: 1"))
    assert [seen.all(name) for name in ("traceparent", "tracestate", "b3")] == [[VALID.encode()], [b"a=1"], [b"1"]]
    passage.trace(NONE)
    passage.pass_through(request("/"))
    passage.proxy.forget()


def test_queries_are_not_told(passage: TracedPassage) -> None:
    """Where the access log leaves queries out, spans do."""
    passage.trace(ALL)
    passage.pass_through(request("/a?token=secret"))
    assert "secret" in str(passage.spans(2))
    passage.proxy.redact = True
    passage.trace(ALL)
    passage.pass_through(request("/a?token=secret"))
    passage.proxy.redact = False
    assert "secret" not in str(passage.spans(2))


def test_what_happens_on_purpose(passage: TracedPassage) -> None:
    """A request that is recorded meets faults and slow routes as any other does, and is told of with them."""
    aborted = Fault("app", until=time.time() + 600, abort=503, abort_share=1.0)
    mesh = mesh_of(passage.service, routes=(Route("r", service="app", retry=Retry(0)),), tracing=ALL)
    passage.proxy.apply(mesh, steering=Steering(faults=(aborted,)))
    assert passage.refuse(request("/")).status == 503
    (server,) = passage.spans(1)
    assert (server.failed, server.attributes["error.type"]) == (True, "fault")
    slow = msgspec.structs.replace(aborted, abort_share=0.0, throttle=100_000, throttle_share=1.0)
    passage.proxy.apply(mesh, steering=Steering(faults=(slow,)))
    _, got = passage.pass_through(request("/"), answer(body=b"x" * 20_000))
    assert len(got.body) == 20_000
    server, client = passage.spans(2)
    assert client.parent == server.id
    assert server.end - server.start > 50_000_000
    passage.proxy.apply(mesh, steering=Steering())


def test_a_try_begins_when_it_does(passage: TracedPassage) -> None:
    """What a request waited before it was passed on is in its own span, and not in that of its try."""
    late = Fault("app", until=time.time() + 600, delay=0.2, delay_share=1.0)
    mesh = mesh_of(passage.service, routes=(Route("r", service="app", retry=Retry(0)),), tracing=ALL)
    passage.proxy.apply(mesh, steering=Steering(faults=(late,)))
    seen, _ = passage.pass_through(request("/"))
    server, client = passage.spans(2)
    assert parent_of(seen) == (server.trace, client.id, "01")
    assert client.start - server.start >= 195_000_000
    assert client.end <= server.end
    passage.proxy.apply(mesh, steering=Steering())


def test_those_under_way(passage: TracedPassage) -> None:
    """One that takes long keeps nobody from being told of, however many come meanwhile, and is told of when it ends."""
    quick = Route("quick", Match(path=PathMatch("prefix", "/quick")), respond=Respond(204))
    passage.trace(ALL, quick, Route("r", service="app", retry=Retry(0)))
    with passage.proxy.connect("gateway") as slow:
        slow.send(request("/slow"))
        app = passage.app.accept()
        app.read_request()
        with passage.proxy.connect("gateway") as client:
            for _ in range(300):
                client.send(request("/quick"))
                client.read_response()
        assert {span.attributes["url.path"] for span in passage.spans(300)} == {"/quick"}
        app.send(answer())
        assert slow.read_response().status == 200
    server, client_span = passage.spans(2)
    assert server.attributes["url.path"] == "/slow"
    assert (client_span.parent, client_span.attributes["http.response.status_code"]) == (server.id, 200)


def test_an_answer_that_is_refused(passage: TracedPassage) -> None:
    """Where the client gets our word in the place of the endpoint's, both spans say why."""
    passage.trace(ALL, Route("r", service="app", retry=Retry(0), response_bytes=10))
    passage.pass_through(request("/"), answer(body=b"x" * 11))
    server, client = passage.spans(2)
    assert (server.attributes["http.response.status_code"], server.failed) == (502, True)
    assert server.attributes["meshctl.reason"] == client.attributes["meshctl.reason"] == "response_too_large"
