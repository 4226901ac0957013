"""How many connections one address may have at a listener: others come in all the same, and places are given back."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from meshctl.model.route import Respond, Route
from meshctl.proxy.places import Places
from tests.conformance.authority import Authority as Issuer
from tests.conformance.refusals import is_refused
from tests.conformance.running import Gateway
from tests.conformance.wire import PATIENCE, Wire, connect

from .lone_proxy import LoneProxy, mesh_of
from .members import Authority, shake

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OTHER = "127.0.0.2"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who says who is a member."""
    return Authority(tmp_path)


@pytest.fixture
def proxy(tmp_path: Path, authority: Authority) -> Iterator[LoneProxy]:
    """A proxy whose listeners, one in the clear and one for members, take three connections of each address."""
    mesh = mesh_of(
        routes=(Route("own", respond=Respond(body="own")), Route("in", respond=Respond(body="own"), entry="inbound"))
    )
    made = LoneProxy(tmp_path, mesh, "gateway", "inbound/strict", identity=authority.identify("orders"))
    made.limit_clients(3)
    made.apply(mesh)
    yield made
    assert made.end() == []


def is_served(client: Wire) -> bool:
    """Whether a request is answered."""
    client.send(GET)
    return client.read_response().body == b"own"


def test_one_address_does_not_take_all(proxy: LoneProxy) -> None:
    """An address has as many connections as it may; one more is refused, those of others are served, and when one has
    ended there is room again."""
    port = proxy.ports["gateway"]
    with ExitStack() as stack:
        held = [stack.enter_context(proxy.connect("gateway")) for _ in range(3)]
        assert all(map(is_served, held))
        for _ in range(5):
            with proxy.connect("gateway") as more:
                is_refused(more, 503, "too_many_connections")
        with connect(("127.0.0.1", port), source=OTHER) as other:
            assert is_served(other)
        assert all(map(is_served, held))
        held.pop().close()
        proxy.until(lambda: proxy.sample().connections == 2)
        assert is_served(stack.enter_context(proxy.connect("gateway")))
    assert proxy.sample().refusals == {"too_many_connections": 5}
    assert [line["reason"] for line in proxy.lines(10) if line["status"] == 503] == ["too_many_connections"] * 5
    told = [each.fields for each in proxy.notices if each.event == "connection_refused"]
    assert told[0] | {"listener": ""} == {"reason": "too_many_connections", "client": "127.0.0.1", "listener": ""}


def test_those_on_the_way_in_count(proxy: LoneProxy, authority: Authority) -> None:
    """Where TLS is spoken, connections that say nothing or are in their handshake have places, too, and those who come
    in have one, not two."""
    port = proxy.ports["inbound/strict"]
    context = authority.client(authority.service("web"))
    with ExitStack() as stack:
        assert is_served(stack.enter_context(shake(port, context)))
        silent = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        begun = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        begun.sendall(b"\x16\x03\x01")
        refused = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
        assert refused.recv(1) == b""
        with connect(("127.0.0.1", port), source=OTHER) as other:
            assert is_served(Wire(stack.enter_context(context.wrap_socket(other.socket))))
        silent.close()
        begun.close()
        for _ in range(2):
            proxy.until(lambda: _comes_in(stack, port, context))
        assert not _comes_in(stack, port, context)


def _comes_in(stack: ExitStack, port: int, context: ssl.SSLContext) -> bool:
    """Whether one more is served, who stays then."""
    try:
        client = shake(port, context)
    except OSError:
        return False
    return is_served(stack.enter_context(client))


def test_limit_that_changes(proxy: LoneProxy) -> None:
    """A limit that is lowered, or is new, ends nobody's connection and counts those there are; one that is taken away
    is gone at once."""
    with ExitStack() as stack:
        held = [stack.enter_context(proxy.connect("gateway")) for _ in range(3)]
        assert all(map(is_served, held))
        proxy.limit_clients(0)
        proxy.apply(proxy.mesh)
        held += [stack.enter_context(proxy.connect("gateway")) for _ in range(3)]
        assert all(map(is_served, held))
        proxy.limit_clients(5)
        proxy.apply(proxy.mesh)
        for number in (6, 5):
            assert all(map(is_served, held))
            with proxy.connect("gateway") as more:
                is_refused(more, 503, "too_many_connections")
            held.pop().close()
            proxy.until(lambda expected=number - 1: proxy.sample().connections == expected)  # type: ignore[misc]
        assert is_served(stack.enter_context(proxy.connect("gateway")))


def test_limit_of_a_gateway(tmp_path: Path) -> None:
    """`connections_per_client` holds at the listener that has it, in the clear and over TLS, and at no other."""
    chain, key = Issuer(tmp_path, "limits").issue("limited", "localhost")
    config = f"""
        [gateway]
        admin = "off"
        listen = [
          "127.0.0.1:0",
          {{ address = "127.0.0.1:0", connections_per_client = 2 }},
          {{ address = "127.0.0.1:0", connections_per_client = 2, tls = {{ certificate = "{chain}", key = "{key}" }} }},
        ]
        [[routes]]
        path = "/"
        respond = {{ body = "own" }}
    """
    gateway = Gateway(tmp_path, config)
    try:
        with ExitStack() as stack:
            for listener in (0, 0, 0, 1, 1):
                assert is_served(stack.enter_context(gateway.connect(listener=listener)))
            with gateway.connect(listener=1) as more:
                is_refused(more, 503, "too_many_connections")
            for _ in range(2):
                stack.enter_context(gateway.connect(listener=2))
            with gateway.connect(listener=2) as more:
                assert more.read_to_end() == b""
    finally:
        assert gateway.end() == 0
    assert gateway.complaints() == []


class Silent:
    """Stands for complaints."""

    def tell(self, event: str, reason: str, **fields: str) -> None:
        """See `Complaints`."""


class Holder(NamedTuple):
    """Stands for a connection."""

    client: str
    number: int
    listener: str = "here"


def test_addresses_of_ipv6() -> None:
    """Of IPv6 the network of 64 bits counts; an IPv4 address within IPv6 is that address."""
    places: Any = Places(Silent())
    places.adopt({"here": 2}, [])
    assert places.take(Holder("2001:db8::1", 1))
    assert places.take(Holder("2001:db8::2", 2))
    assert not places.take(Holder("2001:db8::ffff:3", 3))
    assert places.take(Holder("2001:db8:0:1::1", 4))
    assert places.take(Holder("192.0.2.1", 5))
    assert places.take(Holder("::ffff:192.0.2.1", 6))
    assert not places.take(Holder("::ffff:192.0.2.1", 7))
    assert places.take(Holder("fe80::1%eth0", 8))


def test_nothing_stays_of_who_left() -> None:
    """Places that are given back leave nothing behind, however many addresses came."""
    places: Any = Places(Silent())
    places.adopt({"here": 2}, [])
    for number in range(5_000):
        holder = Holder(f"10.0.{number >> 8}.{number & 255}", number)
        assert places.take(holder, is_coming=bool(number % 2))
        places.leave(holder)
        places.leave(holder)
    assert repr(places) == "<Places 0 taken at 1 listeners>"
    assert not places._taken
