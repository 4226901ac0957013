"""Connections that have ended leave nothing behind that only a garbage collection would find: under load that comes
late, and each TLS connection has a quarter of a megabyte of buffers."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvloop

from meshctl.model.mesh import AccessLog, Gateway, Mesh, encode
from meshctl.model.registration import Listed
from meshctl.model.route import Respond, Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.proxy.client import Client
from meshctl.proxy.messages import Channel, Commit, ListenerSpec, Prepare
from meshctl.proxy.upstream import UpstreamConnection
from meshctl.proxy.worker import Worker

from .members import Authority

GET = b"GET /%s HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n"
PORTS = ("gateway", "inbound")


@contextmanager
def serving(authority: Authority, loop: asyncio.AbstractEventLoop) -> Iterator[dict[str, int]]:
    """A worker in this process that is both ends: its gateway's `/far` goes to its own inbound listener, over mutual
    TLS. The ports."""
    ours, theirs = socket.socketpair()
    channel, worker = Channel(ours), Worker(loop, Channel(theirs), 0, 1)
    bound = {entry: socket.create_server(("127.0.0.1", 0)) for entry in PORTS}
    ports = {entry: int(end.getsockname()[1]) for entry, end in bound.items()}
    worker.identify(authority.identify("orders"))
    own = Respond(body="own")
    routes = (Route("far", service="orders"), Route("own", respond=own, entry="inbound"))
    gateway = Gateway(admin="off", access_log=AccessLog("off"))
    mesh = Mesh(gateway=gateway, routes=routes, services=(Service("orders", (Version("default"),)),))
    specs = (
        ListenerSpec("gateway", "gateway"),
        ListenerSpec("inbound", "inbound", mesh="permissive", entry="inbound"),
    )
    there = Listed("orders", "default", (Endpoint("127.0.0.1", ports["inbound"], mesh=True),))
    channel.send(Prepare(1, 1, encode(mesh), specs, PORTS, (there,)), [bound[entry].fileno() for entry in PORTS])
    channel.send(Commit(1))
    for end in bound.values():
        end.close()
    loop.run_until_complete(asyncio.sleep(0.1))
    yield ports
    worker.drain(0.1)
    loop.run_until_complete(worker.stopped)
    worker.close()
    loop.remove_reader(theirs)
    channel.close()
    theirs.close()


def living() -> int:
    """How many connections there are, in use or not."""
    return sum(isinstance(each, Client | UpstreamConnection) for each in gc.get_objects())


@pytest.mark.parametrize(("entry", "secure"), [("inbound", True), ("inbound", False), ("gateway", False)])
def test_nothing_is_left(authority: Authority, entry: str, secure: bool) -> None:
    """Once clients have gone their connections are gone from memory, and so are those made for them."""
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    context = authority.client(authority.service("web")) if secure else None

    async def ask(port: int, what: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="" if secure else None
        )
        writer.write(GET % what)
        try:
            answer = await reader.read()
        finally:
            writer.close()
            try:
                await writer.wait_closed()
            except (ConnectionError, ssl.SSLError):
                pass
        return answer

    try:
        with serving(authority, loop) as ports:
            gc.collect()
            gc.disable()
            before = living()
            answers = [loop.run_until_complete(ask(ports[entry], b"far")) for _ in range(10)]
            assert all(answer.endswith(b"own") for answer in answers), answers
            # The one connection between the two is kept, at both ends.
            most = before + (2 if entry == "gateway" else 0)
            for _ in range(200):
                loop.run_until_complete(asyncio.sleep(0.1))
                if living() <= most:
                    break
            assert living() <= most
    finally:
        gc.enable()
        asyncio.set_event_loop(None)
        loop.close()
