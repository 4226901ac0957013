"""Live endpoints over look-ups and revisions: what stays keeps what it has, what is new is used, what is gone is let
go."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from meshctl.model.mesh import AccessLog, Gateway, Mesh, encode
from meshctl.model.route import Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.proxy.messages import Channel, Commit, Message, Prepare, Prepared
from meshctl.proxy.upstream import UpstreamConnection
from meshctl.proxy.worker import Worker


class Told:
    """A worker in this process, and the end of its channel that gives it orders."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.loop = asyncio.new_event_loop()
        self.channel = Channel(ours)
        self.worker = Worker(self.loop, Channel(theirs), 0, 1)

    def apply(self, number: int, *endpoints: Endpoint) -> None:
        """Have it serve a revision with one service."""
        service = Service("shop", (Version("default", endpoints),))
        gateway = Gateway(access_log=AccessLog(path="off"))
        mesh = Mesh(gateway=gateway, routes=(Route("all", service="shop"),), services=(service,))
        self.channel.send(Prepare(number, number, encode(mesh), ()))
        assert self.loop.run_until_complete(self._answer()) == Prepared(number)
        self.channel.send(Commit(number))
        self.loop.run_until_complete(self._until(lambda: self.worker.snapshot.number == number))

    def addresses(self) -> list[str]:
        """What requests are sent to."""
        return [each.address for each in self.worker.snapshot.services["shop"].versions[0].endpoints]

    async def _answer(self) -> Message:
        found: list[Message] = []
        while not found:
            await asyncio.sleep(0)
            found.extend(self.channel.receive())
        return found[0]

    async def _until(self, holds: object) -> None:
        assert callable(holds)
        while not holds():
            await asyncio.sleep(0)

    def close(self) -> None:
        """End it."""
        self.worker.close()
        self.loop.remove_reader(self.worker.orders.channel.socket)
        self.channel.close()
        self.worker.orders.channel.close()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    yield made
    made.close()


def test_all_addresses_of_a_name_are_used(told: Told) -> None:
    """A name stands for itself until it was looked up, then every address it has takes requests."""
    told.apply(1, Endpoint("shop.invalid", 80))
    assert told.addresses() == ["shop.invalid:80"]
    told.worker.registry.resolved("shop.invalid", 80, ("127.0.0.2:80", "[::1]:80"))
    assert told.addresses() == ["127.0.0.2:80", "[::1]:80"]
    available = told.worker.snapshot.services["shop"].versions[0].available
    assert {each.address for each in available} == set(told.addresses())


def test_address_that_stays_keeps_its_connections(told: Told) -> None:
    """A look-up that finds other addresses leaves the one that is still there as it is, and lets go of what is gone."""
    told.apply(1, Endpoint("shop.invalid", 80))
    told.worker.registry.resolved("shop.invalid", 80, ("127.0.0.2:80", "127.0.0.3:80"))
    stays, goes = told.worker.snapshot.services["shop"].versions[0].endpoints
    told.worker.registry.resolved("shop.invalid", 80, ("127.0.0.4:80", "127.0.0.2:80"))
    after = told.worker.snapshot.services["shop"].versions[0].endpoints
    assert told.addresses() == ["127.0.0.4:80", "127.0.0.2:80"]
    assert after[1] is stays
    assert (stays.retired, goes.retired) == (False, True)


def test_addresses_outlast_a_revision(told: Told) -> None:
    """A new revision with the same name needs no new look-up, and takes the same live endpoints."""
    told.apply(1, Endpoint("shop.invalid", 80))
    told.worker.registry.resolved("shop.invalid", 80, ("127.0.0.2:80",))
    before = told.worker.snapshot.services["shop"].versions[0].endpoints[0]
    told.apply(2, Endpoint("shop.invalid", 80), Endpoint("127.0.0.9", 80))
    assert told.addresses() == ["127.0.0.2:80", "127.0.0.9:80"]
    assert told.worker.snapshot.services["shop"].versions[0].endpoints[0] is before


def test_only_names_are_looked_up(told: Told) -> None:
    """Addresses, Unix sockets and localhost, which each connection looks up itself, are left alone."""
    plain = (Endpoint("127.0.0.1", 80), Endpoint("::1", 80), Endpoint("localhost", 80), Endpoint(unix="/a"))
    told.apply(1, *plain, Endpoint("a.invalid", 80))
    assert told.worker.registry.names(told.worker.snapshot) == {("a.invalid", 80)}


def test_request_that_waits_for_a_retired_endpoint_gets_its_connection(told: Told) -> None:
    """A revision that drops an endpoint while a request waits for a connection to it lets that request through."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        told.apply(1, Endpoint("127.0.0.1", server.getsockname()[1]))
        (endpoint,) = told.worker.snapshot.services["shop"].versions[0].endpoints
        waiting = Waiting()

        async def ask() -> None:
            endpoint.queue(waiting)  # type: ignore[arg-type]
            # What a revision does to an endpoint it drops, before the connection can be there.
            endpoint.retire()

        told.loop.run_until_complete(ask())
        told.loop.run_until_complete(asyncio.wait_for(told._until(lambda: waiting.connections), 10))
        assert [each.endpoint for each in waiting.connections] == [endpoint]
        for each in waiting.connections:
            each.transport.abort()
        told.loop.run_until_complete(told._until(lambda: not endpoint.opened))


class Waiting:
    """Stands in line for a connection."""

    def __init__(self) -> None:
        self.connections: list[UpstreamConnection] = []

    def on_connected(self, connection: UpstreamConnection) -> None:
        """One is there."""
        self.connections.append(connection)
