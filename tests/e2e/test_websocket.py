"""WebSockets through the gateway, with the `websockets` client and two servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from .conftest import StartGateway
from .gateway import Gateway
from .servers import Server, Upstreams


@pytest.fixture
def url(upstreams: Upstreams, start_gateway: StartGateway) -> Iterator[str]:
    """The WebSocket URL of a gateway with a `websockets` server at / and an aiohttp one at /ws."""
    server = Server("websocket_server.py")
    gateway: Gateway = start_gateway("--route", f"/={server.url}", "--route", f"/ws={upstreams.url_of('a')}")
    yield gateway.url.replace("http", "ws")
    server.end()


def talk(url: str) -> ClientConnection:
    """A connection that takes messages of any size, to be used as a context."""
    return connect(url, max_size=None, open_timeout=30, close_timeout=30, proxy=None)


def test_messages_pings_and_closes_pass(url: str) -> None:
    """Small, big and fragmented messages come back whole, pings are answered by the far end, and the server's closing
    code reaches the client."""
    with connect(url, max_size=None, open_timeout=30, subprotocols=["chat"], proxy=None) as socket:  # type: ignore[list-item]
        assert socket.subprotocol == "chat"
        big = bytes(range(256)) * 32_768  # 8 MB
        for message in ("hello", "", "ü" * 70_000, b"\0\1", big):
            socket.send(message)
            assert socket.recv(timeout=60) == message
        socket.send(iter(["a", "b", "c"]))
        assert socket.recv(timeout=60) == "abc"
        assert socket.ping(b"are you there").wait(60)
        socket.send("bye")
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=60)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "as you wish")


def test_many_tunnels_at_once(url: str) -> None:
    """Fifty tunnels, opened before any is used, keep their messages apart."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(talk(f"{url}/ws")) for _ in range(50)]
        for number, socket in enumerate(sockets):
            socket.send(f"{number}")
        assert [socket.recv(timeout=60) for socket in sockets] == [f"a: {number}" for number in range(50)]


def test_a_declined_upgrade_is_an_answer(url: str) -> None:
    """Where the service answers an upgrade request with something else, the client gets that answer."""
    with pytest.raises(InvalidStatus) as refused, talk(f"{url}/ws/elsewhere"):
        pass
    assert refused.value.response.status_code == 200
    assert b'"target": "/ws/elsewhere"' in (refused.value.response.body or b"")
