"""Back-pressure: whoever takes slowly makes the other side wait; the gateway stands between them without collecting."""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Start, routes
from .running import Gateway
from .upstream import OK, Upstream
from .wire import PATIENCE, Wire

MB = 1 << 20
TOTAL = 64 * MB
MOST = 24 * MB
"""What may be under way at once: the sockets' buffers of two connections, which may grow to some MB each."""
GROWTH = 12 * MB
"""What the gateway itself may take more than before, whatever the length of a stream."""
STALLED = 0.7
"""Seconds without progress after which a sender counts as held up, unless the gateway itself stood still."""
PIECE = bytes(range(256)) * 256


def push(wire: Wire, data: bytes, total: int, gateway: Gateway | None = None) -> int:
    """Send `data` over and over until `total` bytes are sent or the peer takes no more; the bytes sent. A `gateway`
    that stands between takes no more only when it has answered others meanwhile."""
    sent = 0
    wire.socket.setblocking(False)

    def has_room() -> bool:
        if select.select([], [wire.socket], [], STALLED)[1]:
            return True
        if gateway is None:
            return False
        has_read(gateway)
        return bool(select.select([], [wire.socket], [], 0.05)[1])

    try:
        while sent < total and has_room():
            at = sent % len(data)
            try:
                sent += wire.socket.send(data[at : at + total - sent])
            except BlockingIOError:
                continue
    finally:
        wire.socket.settimeout(PATIENCE)
    return sent


def drain(wire: Wire, total: int) -> int:
    """Read `total` bytes without keeping them; how many differ from the pattern."""
    seen, wrong = 0, 0
    while seen < total:
        data = wire.buffer or wire.socket.recv(MB)
        assert data, f"the connection ended after {seen} of {total} bytes"
        wire.buffer = data[total - seen :]
        data = data[: total - seen]
        at = seen % len(PIECE)
        wrong += data != (PIECE * (len(data) // len(PIECE) + 2))[at : at + len(data)]
        seen += len(data)
    return wrong


def finish(wire: Wire, sent: int, total: int) -> threading.Thread:
    """Send the rest of the pattern while the test reads at the other side."""

    def send() -> None:
        at = sent
        while at < total:
            start = at % len(PIECE)
            at += wire.socket.send(PIECE[start : start + total - at])

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.fixture
def slow(gateway: Gateway) -> Iterator[Wire]:
    """A client with little room for what it is sent."""
    with gateway.connect(receive=4096) as wire:
        yield wire


@pytest.fixture(scope="module")
def narrow_services() -> Iterator[list[Upstream]]:
    """Services with little room for what they are sent."""
    made = [Upstream(f"n{number}", receive=4096) for number in range(12)]
    yield made
    for each in made:
        each.forget()
        each.listener.close()


@pytest.fixture(scope="module")
def narrow_gateway(start: Start, narrow_services: list[Upstream]) -> Gateway:
    """A gateway before them."""
    head = '[gateway]\naccess_log = "off"\nadmin = "off"\n'
    head += '[[routes]]\nname = "fixed"\nhosts = ["fixed.test"]\nrespond = { body = "fixed" }\n'
    return start(head + "\n".join(routes(each) for each in narrow_services))


@pytest.fixture(scope="module")
def _narrow_row(narrow_services: list[Upstream]) -> Iterator[Upstream]:
    return iter(narrow_services)


@pytest.fixture
def narrow(narrow_gateway: Gateway, _narrow_row: Iterator[Upstream]) -> tuple[Gateway, Upstream]:
    """That gateway and a service of this test alone."""
    return narrow_gateway, next(_narrow_row)


def test_slow_client_holds_the_service_up(gateway: Gateway, slow: Wire, upstream: Upstream) -> None:
    """A service that sends faster than its client reads is held up, and every byte arrives in the end."""
    before = gateway.memory()
    slow.send(upstream.get())
    wire, _ = upstream.serve(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % TOTAL)
    sent = push(wire, PIECE, TOTAL)
    assert sent < MOST
    assert gateway.memory() - before < GROWTH
    sender = finish(wire, sent, TOTAL)
    slow.read_head()
    assert drain(slow, TOTAL) == 0
    sender.join()
    assert gateway.memory() - before < GROWTH


def test_slow_client_of_a_chunked_answer(gateway: Gateway, slow: Wire, upstream: Upstream) -> None:
    """So is one whose answer has no length."""
    before = gateway.memory()
    slow.send(upstream.get())
    wire, _ = upstream.serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert push(wire, b"1000\r\n" + bytes(4096) + b"\r\n", TOTAL) < MOST
    assert gateway.memory() - before < GROWTH


def test_slow_client_of_many_answers(gateway: Gateway, slow: Wire, upstream: Upstream) -> None:
    """So is one whose answer stands behind others that the client has not taken yet."""
    before = gateway.memory()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)
    slow.send(b"".join(upstream.get(b"/%d" % number) for number in range(400)))
    wire = upstream.accept()
    asked = 0
    while asked < 400 and select.select([wire.socket], [], [], STALLED)[0]:
        wire.read_request()
        wire.send(answer)
        asked += 1
    assert asked * len(answer) < MOST
    assert gateway.memory() - before < GROWTH


def test_client_that_reads_no_answers_of_the_gateway(gateway: Gateway, slow: Wire) -> None:
    """A client that asks on and on and takes no answers is no longer listened to; those it was given are in order."""
    before = gateway.memory()
    ask = b"GET / HTTP/1.1\r\nHost: fixed.test\r\n\r\n"
    sent = push(slow, ask, 24 * MB)
    assert sent < 16 * MB
    assert gateway.memory() - before < GROWTH
    assert [slow.read_response().body for _ in range(2000)] == [b"fixed"] * 2000


def test_slow_service_holds_the_client_up(narrow: tuple[Gateway, Upstream]) -> None:
    """A client that sends faster than the service reads is held up, and every byte arrives in the end."""
    gateway, service = narrow
    before = gateway.memory()
    with gateway.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: %b\r\nContent-Length: %d\r\n\r\n" % (service.host, TOTAL))
        wire = service.accept()
        wire.read_head()
        sent = push(client, PIECE, TOTAL)
        assert sent < MOST
        assert gateway.memory() - before < GROWTH
        sender = finish(client, sent, TOTAL)
        assert drain(wire, TOTAL) == 0
        sender.join()
        wire.send(OK)
        assert client.read_response().body == b"ok"
        assert gateway.memory() - before < GROWTH


def test_slow_service_of_a_chunked_body(narrow: tuple[Gateway, Upstream]) -> None:
    """So is one whose body has no length."""
    gateway, service = narrow
    before = gateway.memory()
    with gateway.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % service.host)
        service.accept().read_head()
        assert push(client, b"1000\r\n" + bytes(4096) + b"\r\n", TOTAL) < MOST
        assert gateway.memory() - before < GROWTH


@pytest.mark.parametrize("side", ["client", "service"])
def test_slow_side_of_a_tunnel_holds_the_other_up(narrow: tuple[Gateway, Upstream], side: str) -> None:
    """In a tunnel, either side holds the other up."""
    gateway, service = narrow
    before = gateway.memory()
    with gateway.connect(receive=4096) as client:
        client.send(service.get(b"/", b"Connection: Upgrade", b"Upgrade: x"))
        wire = service.accept()
        wire.read_request()
        wire.send(b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        assert client.read_response().status == 101
        fast, slow = (wire, client) if side == "client" else (client, wire)
        sent = push(fast, PIECE, TOTAL)
        assert sent < MOST
        assert gateway.memory() - before < GROWTH
        sender = finish(fast, sent, TOTAL // 4) if sent < TOTAL // 4 else None
        assert drain(slow, max(sent, TOTAL // 4)) == 0
        if sender:
            sender.join()


def has_read(gateway: Gateway) -> None:
    """Waits until the gateway has looked at all that was sent before: it answers in between, again and again."""
    with gateway.connect() as wire:
        for _ in range(5):
            wire.send(b"GET / HTTP/1.1\r\nHost: fixed.test\r\n\r\n")
            assert wire.read_response().body == b"fixed"


def queued(port: int) -> int:
    """The most bytes that any socket connected to or from `port` still has to send."""
    most = 0
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if f":{port:04X}" in local + remote:
            most = max(most, int(queues.split(":")[0], 16))
    return most


def room_for(gateway: Gateway, service: Upstream) -> int:
    """How much the kernel takes for a client that does not read and has little room."""
    with gateway.connect(receive=2048) as slow:
        slow.send(service.get())
        wire, _ = service.serve(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % TOTAL)
        push(wire, PIECE, TOTAL, gateway)
        return queued(slow.socket.getsockname()[1])


def room_towards(gateway: Gateway, service: Upstream) -> int:
    """How much the kernel takes for a service that does not read."""
    with gateway.connect() as client:
        client.send(service.get(b"/", b"Content-Length: %d" % TOTAL, method=b"PUT"))
        wire = service.accept()
        wire.read_head()
        push(client, PIECE, TOTAL, gateway)
        found = queued(service.port)
    wire.close()
    return found


def around(room: int) -> range:
    """Sizes of messages of which some just fill the kernel's buffers towards a peer that does not read, so that their
    last piece is the one that stays in the gateway."""
    assert room > 100_000
    return range(room - 60_000, room + 600_000, 30_000)


def test_connection_held_up_at_the_end_of_an_answer(gateway: Gateway, upstream: Upstream) -> None:
    """A connection that was held up for one client when its answer ended serves the next client all the same."""
    room = room_for(gateway, upstream)
    with gateway.connect() as second, gateway.connect() as third:
        for size in around(room):
            with gateway.connect(receive=2048) as slow:
                slow.send(upstream.get(b"/slow"))
                wire = upstream.hear()
                wire.read_request()
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
                has_read(gateway)
                for other in (second, third):
                    other.send(upstream.get(b"/other"))
                for _ in (second, third):
                    wire = upstream.hear()
                    wire.read_request()
                    wire.send(OK)
                for other in (second, third):
                    assert other.read_response().body == b"ok", size


def test_client_held_up_at_the_end_of_its_body(narrow: tuple[Gateway, Upstream]) -> None:
    """A client that was held up when its answer came is listened to again, for the rest and for its next request."""
    gateway, service = narrow
    for size in around(room_towards(gateway, service)):
        with gateway.connect() as client:
            client.send(service.get(b"/", b"Content-Length: %d" % size, method=b"PUT"))
            wire = service.accept()
            wire.read_head()
            finish(client, 0, size).join()
            has_read(gateway)
            wire.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
            assert client.read_response().body == b"ok"
            client.send(service.get(b"/next"))
            last, request = service.serve(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
            assert request.target == b"/next", size
            assert client.read_response().body == b"ok"
            assert last.read_rest() == b""
    # Those connections are at their end although the service never read what was sent.
    assert gateway.lets_go_of(service.port)


def test_last_words_to_a_slow_service(narrow: tuple[Gateway, Upstream]) -> None:
    """What a client sent into a tunnel before it left reaches a service that reads slowly, to the last byte."""
    gateway, service = narrow
    for size in around(room_towards(gateway, service)):
        with gateway.connect() as client:
            client.send(service.get(b"/", b"Connection: Upgrade", b"Upgrade: x"))
            wire, _ = service.serve(b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
            assert client.read_response().status == 101
            finish(client, 0, size).join()
            client.close()
            has_read(gateway)
            assert drain(wire, size) == 0
            assert wire.read_to_end() == b""
