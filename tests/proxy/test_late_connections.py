"""A connection that comes about in the very moment in which it has taken too long: its place is given back once,
nothing of it is kept, and nobody is told of a fault, for there is none."""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop

from meshctl.model.policy import UpstreamTimeouts
from meshctl.model.service import Endpoint, Service
from meshctl.observe.counters import Counters
from meshctl.proxy.endpoint import LiveEndpoint
from meshctl.proxy.timers import COARSE, Deadlines
from meshctl.proxy.tunnel import Tunnel

from .members import Authority

LIMIT = 0.2


class Server:
    """Answers a handshake in the thread of who begins it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.door = socket.create_server(("127.0.0.1", 0))
        self._context = context
        self._ends: list[socket.socket] = []

    def answer(self, hello: bytes) -> None:
        """Accept the connection that is there, and send what follows from `hello`."""
        end, _ = self.door.accept()
        self._ends.append(end)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        incoming.write(hello)
        with pytest.raises(ssl.SSLWantReadError):
            self._context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
        end.sendall(outgoing.read())

    def close(self) -> None:
        """End it."""
        for each in (self.door, *self._ends):
            each.close()


class Slow(ssl.SSLContext):
    """Has a handshake end when its time is over, and before anybody has looked at the clock."""

    begin: Callable[[bytes], object]
    """Is given the first words of the client, which go no other way."""

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *_: Any, **more: Any) -> Any:  # type: ignore[override]
        made = super().wrap_bio(incoming, outgoing, **more)
        began = False

        def do_handshake() -> None:
            nonlocal began
            if began:
                select.select([], [], [], LIMIT * 1.5)
                made.do_handshake()
                return
            began = True
            try:
                made.do_handshake()
            finally:
                self.begin(outgoing.read())

        names = ("read", "write", "pending", "unwrap", "getpeercert", "cipher", "compression")
        return SimpleNamespace(do_handshake=do_handshake, **{name: getattr(made, name) for name in names})


class Waiter:
    """Stands for who waits for a connection: an exchange, or a tunnel that is to be."""

    def __init__(self) -> None:
        self.told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.finished = 0.0
        self.far: object = None
        self.endpoint: LiveEndpoint | None = None

    def on_connect_failed(self, reason: str, _detail: str) -> None:
        """See `Attempt.on_connect_failed`."""
        self.told.set_result(reason)

    def on_far_open(self, _far: object) -> None:
        """See `Tunnel.on_far_open`."""

    def on_far_lost(self, _far: object, _detail: str) -> None:
        """See `Tunnel.on_far_lost`."""
        self.told.set_result("lost")


async def try_late(context: Slow, server: Server, *, is_tunnel: bool, is_known: bool) -> tuple[str, list[Any]]:
    """What became of a connection that came about too late, and faults that were told of. With `is_known` it was waited
    for the handshake by then, else it had not even been seen that there was a connection."""
    loop = asyncio.get_running_loop()
    faults: list[Any] = []
    loop.set_exception_handler(lambda _, fault: faults.append(fault))
    context.begin = (lambda hello: loop.call_later(0.02, server.answer, hello)) if is_known else server.answer
    worker: Any = SimpleNamespace(
        loop=loop, kept=Deadlines(loop, COARSE), counters=Counters(), mesh_tls=None, interception=None
    )
    config = Endpoint("127.0.0.1", server.door.getsockname()[1], tls=True)
    service = Service("orders", timeouts=UpstreamTimeouts(connect=LIMIT))
    endpoint = LiveEndpoint(worker, service, ("orders", "default", config, config.address), config)
    endpoint.limit, endpoint.tls, endpoint.server_name = 1, context, "orders"
    waiter: Any = Waiter()
    if is_tunnel:
        waiter.endpoint = endpoint
        endpoint.opened += 1
        await Tunnel._open(waiter, endpoint)
    else:
        endpoint.queue(waiter)
    reason = await asyncio.wait_for(waiter.told, 20)
    for _ in range(20):
        await asyncio.sleep(0.01)  # what is still to be told is
    assert endpoint.opened == 0
    assert not worker.kept
    worker.kept.stop()
    return reason, faults


@pytest.mark.parametrize("is_known", [False, True], ids=["unseen", "seen"])
@pytest.mark.parametrize("is_tunnel", [False, True], ids=["for requests", "for bytes"])
def test_a_connection_that_comes_too_late(authority: Authority, is_tunnel: bool, is_known: bool) -> None:
    """See the module."""
    context = Slow(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    server = Server(authority.server(authority.service("orders")))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            reason, faults = runner.run(try_late(context, server, is_tunnel=is_tunnel, is_known=is_known))
    finally:
        server.close()
    assert (reason, faults) == ("lost" if is_tunnel else "connect_timeout", [])
