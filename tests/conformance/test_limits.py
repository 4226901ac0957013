"""Limits and timeouts: too much is refused with its own status, too late likewise, and nothing waits for ever."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from .conftest import Start, routes
from .refusals import is_refused, is_unseen, read_refusal
from .running import Gateway
from .test_pressure import PIECE, around, drain, finish, push, room_for
from .upstream import OK, Upstream
from .wire import Wire

BODY = 10_000
"""The longest body of the strict gateway, in bytes."""


@pytest.fixture(scope="module")
def own_services() -> Iterator[list[Upstream]]:
    """Services of this module, one for each test."""
    made = [Upstream(f"i{number}") for number in range(24)]
    yield made
    for each in made:
        each.forget()
        each.listener.close()


@pytest.fixture(scope="module")
def _own_row(own_services: list[Upstream]) -> Iterator[Upstream]:
    return iter(own_services[2:])


@pytest.fixture
def service(_own_row: Iterator[Upstream]) -> Upstream:
    """A service of this test alone, before the gateways of this module."""
    return next(_own_row)


# Each gateway is impatient of what its tests are late with and of nothing else: a test that stands still for a moment
# must not be late with something besides.


def _before(services: list[Upstream], settings: str, hasty: str = "") -> str:
    head = f'[gateway]\naccess_log = "off"\nadmin = "off"\n{settings}\n'
    return head + "\n".join(routes(each) + hasty for each in services)


@pytest.fixture(scope="module")
def strict(start: Start, own_services: list[Upstream]) -> Gateway:
    """A gateway with low limits."""
    limits = f'limits = {{ body_bytes = "{BODY}B", head_bytes = "8KiB", header_count = 20 }}'
    return start(_before(own_services, limits))


@pytest.fixture(scope="module")
def waiting(start: Start, own_services: list[Upstream]) -> Gateway:
    """A gateway that does not wait long for heads, which begins when a client comes."""
    return start(_before(own_services, 'timeouts = { head = "3s", idle = "3s" }'))


@pytest.fixture(scope="module")
def impatient(start: Start, own_services: list[Upstream]) -> Gateway:
    """A gateway that does not wait long for bodies, nor for clients to take answers."""
    return start(_before(own_services, 'timeouts = { body = "1s", write = "1s" }'))


@pytest.fixture(scope="module")
def hasty(start: Start, own_services: list[Upstream]) -> Gateway:
    """A gateway whose first service is to answer soon, whose second is to be done soon by one of its routes, and whose
    others are to go on soon."""
    first, second, *others = own_services
    brief = f"""
        [[routes]]
        name = "brief"
        path = "/brief"
        timeout = "300ms"
        service = "{second.name}"
        retry = {{ attempts = 0 }}
    """
    soon = routes(first) + 'timeouts = { response = "300ms" }'
    return start("\n".join([_before([second, *others], brief, 'timeouts = { stream = "1s" }'), soon]))


@pytest.fixture
def caller(request: pytest.FixtureRequest) -> Iterator[Wire]:
    """A client of the gateway that the test names."""
    gateway: Gateway = request.getfixturevalue(request.param)
    with gateway.connect() as wire:
        yield wire


def of(gateway: str) -> pytest.MarkDecorator:
    """Whose client the test's caller is."""
    return pytest.mark.parametrize("caller", [gateway], indirect=True)


# too much


@pytest.mark.parametrize("split", [False, True])
def test_head_at_its_limit(gateway: Gateway, client: Wire, upstream: Upstream, split: bool) -> None:
    """A head of 60 KiB passes; one of more than 64 KiB is 431, and nobody else hears of it."""
    client.send(upstream.get(b"/ok", b"X-Long: " + b"a" * 60_000))
    assert len(upstream.serve(OK)[1].get("x-long") or b"") == 60_000
    assert client.read_response().body == b"ok"
    raw = upstream.get(b"/long", b"X-Long: " + b"a" * 70_000)
    client.send_on(raw[:1000], raw[1000:]) if split else client.send_on(raw)
    is_refused(client, 431, "head_too_large")
    upstream.forget()
    is_unseen(gateway, upstream)


def test_head_without_end(client: Wire) -> None:
    """A head that never ends is 431 as soon as it is too long."""
    client.send_on(b"GET / HTTP/1.1\r\nHost: fixed.test\r\n", b"X-A: bbbbbbbbbbbbbbbbbbbb\r\n" * 3000)
    is_refused(client, 431, "head_too_large")


def test_target_without_end(client: Wire) -> None:
    """A target that never ends is 414."""
    client.send_on(b"GET /" + b"a" * 70_000)
    is_refused(client, 414, "uri_too_long")


@pytest.mark.parametrize(("count", "status"), [(99, 200), (100, 431), (500, 431)])
def test_number_of_fields(client: Wire, upstream: Upstream, count: int, status: int) -> None:
    """A hundred fields, Host among them, pass; one more is 431."""
    client.send(upstream.get(b"/", *(b"X-%d: y" % number for number in range(count))))
    if status == 200:
        assert len(upstream.serve(OK)[1].names) > 100
        assert client.read_response().body == b"ok"
    else:
        is_refused(client, 431, "head_too_large")
        assert upstream.is_untouched()


@of("strict")
def test_length_above_the_limit(strict: Gateway, caller: Wire, service: Upstream) -> None:
    """A body that says that it is too long is 413 before any of it was read, and the service hears nothing of it."""
    caller.send(service.get(b"/", b"Content-Length: %d" % (BODY + 1), method=b"POST"))
    read_refusal(caller, 413, "body_too_large")
    is_unseen(strict, service)


@of("strict")
@pytest.mark.parametrize("piece", [1000, BODY])
def test_chunks_above_the_limit(caller: Wire, service: Upstream, piece: int) -> None:
    """A chunked body that becomes too long is 413, and the service never sees its end."""
    caller.send(service.get(b"/", b"Transfer-Encoding: chunked", method=b"POST"))
    wire = service.accept()
    wire.read_head()
    for _ in range(BODY // piece + 1):
        caller.send_on(b"%x\r\n%b\r\n" % (piece, bytes(piece)))
    read_refusal(caller, 413, "body_too_large")
    assert not wire.read_rest().endswith(b"0\r\n\r\n")


@of("strict")
def test_bodies_at_the_limit(caller: Wire, service: Upstream) -> None:
    """A body of exactly the limit passes in either framing."""
    caller.send(service.get(b"/", b"Content-Length: %d" % BODY, method=b"POST") + bytes(BODY))
    wire, request = service.serve(OK)
    assert len(request.body) == BODY
    assert caller.read_response().status == 200
    caller.send(service.get(b"/", b"Transfer-Encoding: chunked", method=b"POST"))
    caller.send(b"%x\r\n%b\r\n0\r\n\r\n" % (BODY, bytes(BODY)))
    assert len(wire.read_request().body) == BODY
    wire.send(OK)
    assert caller.read_response().status == 200


@of("strict")
def test_pipelined_body_above_the_limit(caller: Wire, service: Upstream) -> None:
    """A chunked body that is too long is refused in its turn, after the answer before it."""
    caller.send(
        service.get(b"/1")
        + service.get(b"/2", b"Transfer-Encoding: chunked", method=b"POST")
        + b"%x\r\n%b\r\n0\r\n\r\n" % (BODY + 1, bytes(BODY + 1))
    )
    wire = service.accept()
    assert wire.read_request().target == b"/1"
    assert caller.is_silent()
    wire.send(OK)
    assert caller.read_response().body == b"ok"
    read_refusal(caller, 413, "body_too_large")
    assert service.is_silent()


@pytest.mark.parametrize("kind", [b"5;", b"0\r\nX: ", b"0\r\n"], ids=["extension", "trailer", "trailers"])
def test_what_comes_with_chunks_has_an_end(gateway: Gateway, client: Wire, upstream: Upstream, kind: bytes) -> None:
    """Chunk extensions and trailers without end are refused like a head without end."""
    before = gateway.memory()
    client.send(upstream.get(b"/", b"Transfer-Encoding: chunked", method=b"POST"))
    wire = upstream.accept()
    wire.read_head()
    client.send(kind)
    # Once it is refused, what still comes is read for a while and then cut off.
    with contextlib.suppress(ConnectionError):
        push(client, b"a" * 4096 if kind != b"0\r\n" else b"A: b\r\n" * 700, 40 << 20)
    assert client.read_response().status in {400, 431}
    assert wire.read_rest()[-5:] != b"0\r\n\r\n"
    assert gateway.memory() - before < 10 << 20


def test_too_many_connections(start: Start, upstream: Upstream) -> None:
    """Connections beyond the limit are answered 503 at once while the others have something to do; when one ends, there
    is room again."""
    head = '[gateway]\nadmin = "off"\naccess_log = "off"\nlimits = { connections = 2 }\n'
    running = start(head + routes(upstream))
    with running.connect() as first, running.connect() as second:
        held = []
        for each in (first, second):
            each.send(upstream.get())
            held.append(upstream.hear())
            held[-1].read_request()
        with running.connect() as third:
            is_refused(third, 503, "overloaded")
        first.close()
        assert held[0].read_rest() == b""
        with running.connect() as fourth:
            fourth.send(upstream.get())
            wire = upstream.hear()
            wire.read_request()
            wire.send(OK)
            assert fourth.read_response().body == b"ok"


# too late


@of("waiting")
def test_slow_head(caller: Wire) -> None:
    """A head that does not arrive in time is 408."""
    caller.send(b"GET / HTTP/1.1\r\nHost: x")
    is_refused(caller, 408, "head_timeout")


@of("waiting")
def test_dripping_head(caller: Wire) -> None:
    """So is one that arrives byte by byte: the time is for the whole head."""
    done = threading.Event()

    def drip() -> None:
        try:
            while not done.wait(0.1):
                caller.send(b"a")
        except OSError:
            pass

    caller.send(b"GET / HTTP/1.1\r\nX-A: ")
    thread = threading.Thread(target=drip)
    thread.start()
    try:
        read_refusal(caller, 408, "head_timeout")
    finally:
        done.set()
        thread.join()


@of("waiting")
def test_silent_client(caller: Wire) -> None:
    """A connection on which nothing comes is closed without a word."""
    assert caller.read_to_end() == b""


@of("waiting")
def test_idle_client(caller: Wire, service: Upstream) -> None:
    """A kept connection on which no other request comes is closed without a word."""
    caller.send(service.get())
    service.serve(OK)
    assert caller.read_response().body == b"ok"
    assert caller.read_to_end() == b""


@of("impatient")
@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
def test_slow_body(caller: Wire, service: Upstream, framing: bytes) -> None:
    """A body that stops arriving is 408; the service sees it broken off."""
    caller.send(service.get(b"/", framing, method=b"POST") + b"5\r\nhe")
    wire = service.accept()
    wire.read_head()
    is_refused(caller, 408, "body_timeout")
    assert b"0\r\n\r\n" not in wire.read_rest()


@of("hasty")
def test_slow_service(caller: Wire, own_services: list[Upstream], service: Upstream) -> None:
    """A service that does not answer in time is 504; its connection is closed, the client's goes on."""
    caller.send(own_services[0].get())
    wire = own_services[0].accept()
    wire.read_request()
    read_refusal(caller, 504, "upstream_timeout")
    assert wire.read_rest() == b""
    caller.send(service.get())
    service.serve(OK)
    assert caller.read_response().body == b"ok"


def test_service_that_does_not_accept(start: Start) -> None:
    """A service whose connection does not come about in time is 504, whatever the method."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            # What stands in line here is never accepted, so the next one does not get that far.
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        running = start(f"""
            [gateway]
            admin = "off"
            access_log = "off"
            [[routes]]
            path = "/"
            service = "full"
            retry = {{ attempts = 0 }}
            [services.full]
            endpoints = ["127.0.0.1:{full.getsockname()[1]}"]
            timeouts = {{ connect = "300ms" }}
        """)
        with running.connect() as caller:
            caller.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
            read_refusal(caller, 504, "connect_timeout")


@of("hasty")
def test_slow_answer(caller: Wire, service: Upstream) -> None:
    """An answer that stops in the middle is broken off."""
    caller.send(service.get())
    wire, _ = service.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
    caller.read_until(b"hello")
    assert caller.read_rest() == b""
    assert wire.read_rest() == b""


@of("hasty")
def test_time_of_a_route(caller: Wire, own_services: list[Upstream]) -> None:
    """A route's time is for the whole exchange: 504 before the answer's head, broken off after it."""
    service = own_services[1]
    ask = b"GET /brief HTTP/1.1\r\nHost: x\r\n\r\n"
    caller.send(ask)
    service.accept().read_request()
    read_refusal(caller, 504, "route_timeout")
    while True:
        caller.send(ask)
        with contextlib.suppress(ConnectionError):
            service.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        head = caller.read_head()
        if head.status == 200:
            break
        # The head was late: the machine stood still.
        assert (head.status, head.get("x-meshctl-reason")) == (504, b"route_timeout")
        caller.read_exactly(int(head.get("content-length") or 0))
    assert caller.read_until(b"hello") == b"hello"
    assert caller.read_rest() == b""


def test_client_that_takes_nothing(impatient: Gateway, service: Upstream) -> None:
    """A client that takes nothing of its answer is cut off, and the service is free again."""
    with impatient.connect(receive=2048) as caller:
        caller.send(service.get())
        wire, _ = service.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            push(wire, PIECE, 50_000_000)
        assert wire.read_rest() == b""
        assert len(caller.read_rest()) < 50_000_000


def test_client_that_takes_nothing_of_its_last_answer(
    gateway: Gateway, upstream: Upstream, impatient: Gateway, service: Upstream
) -> None:
    """So is one whose connection would end with that answer, however much of it is left: it does not stay for ever."""
    with ExitStack() as stack:
        callers = []
        # Measured before one that is patient: it does not cut anybody off meanwhile.
        for size in around(room_for(gateway, upstream)):
            caller = stack.enter_context(impatient.connect(receive=2048))
            caller.send(service.get(b"/", b"Connection: close"))
            wire = service.hear()
            wire.read_request()
            wire.send_on(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
            callers.append(caller)
        for caller in callers:
            assert impatient.lets_go_of(caller.socket.getsockname()[1])


def test_paused_client_is_not_late(start: Start) -> None:
    """A client that waits only because its service reads slowly is not told that it is late."""
    service = Upstream("slow", receive=4096)
    running = start('[gateway]\nadmin = "off"\naccess_log = "off"\ntimeouts = { body = "3s" }\n' + routes(service))
    size = 20 << 20
    with running.connect() as caller:
        caller.send(service.get(b"/", b"Content-Length: %d" % size, method=b"POST"))
        wire = service.accept()
        wire.read_head()
        sent = push(caller, PIECE, size)
        assert sent < size
        # As long as two looks at the clock and the timeout together.
        threading.Event().wait(4.1)
        sender = finish(caller, sent, size)
        assert drain(wire, size) == 0
        sender.join()
        wire.send(OK)
        assert caller.read_response().body == b"ok"
    service.forget()
    service.listener.close()
