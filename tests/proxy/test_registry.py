"""Live endpoints over look-ups and revisions: what stays keeps what it has, what is new is used, what is gone is let
go."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Literal

import pytest

from meshctl.model.mesh import AccessLog, Gateway, Mesh, encode
from meshctl.model.policy import Key
from meshctl.model.registration import Listed, Registration
from meshctl.model.route import Match, Route, ValueMatch
from meshctl.model.service import Endpoint, Service, Version
from meshctl.proxy.keys import NOT_STUCK
from meshctl.proxy.messages import (
    Answer,
    Ask,
    Channel,
    Commit,
    Discovered,
    Message,
    Notice,
    Prepare,
    Prepared,
    Weighted,
)
from meshctl.proxy.upstream import UpstreamConnection
from meshctl.proxy.worker import Worker


def listed(registrations: tuple[Registration, ...], *names: tuple[str, str]) -> tuple[Listed, ...]:
    """What a worker is told of these registrations, and of these names at least."""
    found: dict[tuple[str, str], tuple[Endpoint, ...]] = dict.fromkeys(names, ())
    for each in registrations:
        name = each.service, each.version
        found[name] = (*found.get(name, ()), each.endpoint)
    return tuple(Listed(*name, endpoints) for name, endpoints in found.items())


class Told:
    """A worker in this process, and the end of its channel that gives it orders."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.loop = asyncio.new_event_loop()
        self.channel = Channel(ours)
        self.worker = Worker(self.loop, Channel(theirs), 0, 1)

    def apply(
        self,
        number: int,
        *endpoints: Endpoint,
        versions: tuple[Version, ...] = (),
        registrations: tuple[Registration, ...] = (),
        weights: dict[str, dict[str, float]] | None = None,
        sticky: Literal["identity"] | None = None,
    ) -> None:
        """Have it serve a revision with one service."""
        key = Key(sticky) if sticky else None
        service = Service("shop", versions or (Version("default", endpoints),), sticky=key)
        gateway = Gateway(access_log=AccessLog(path="off"))
        mesh = Mesh(gateway=gateway, routes=(Route("all", service="shop"),), services=(service,))
        self.channel.send(
            Prepare(number, number, encode(mesh), (), listed=listed(registrations), weights=weights or {})
        )
        assert self.loop.run_until_complete(self._answer()) == Prepared(number)
        self.channel.send(Commit(number))
        self.loop.run_until_complete(self._until(lambda: self.worker.snapshot.number == number))

    def discover(self, *registrations: Registration, versions: tuple[str, ...] = ("default",)) -> None:
        """Have it use these registered endpoints for these versions."""
        self._tell(Discovered(listed(registrations, *(("shop", version) for version in versions))))

    def weigh(self, **shop: float) -> None:
        """Have it use these live weights, or those of the configuration where there are none."""
        self._tell(Weighted({"shop": shop} if shop else {}))

    def weights(self) -> dict[str, float]:
        """The weights in effect."""
        return {each.name: each.weight for each in self.worker.snapshot.services["shop"].versions}

    def _tell(self, message: Message) -> None:
        self.channel.send(message)
        self.channel.send(Ask(1, "commit"))
        assert self.loop.run_until_complete(self._answer()) == Answer(1, b"")

    def addresses(self) -> list[str]:
        """What requests are sent to."""
        return [each.address for each in self.worker.snapshot.services["shop"].versions[0].endpoints]

    async def _answer(self) -> Message:
        """The next message that is not a notice: a look-up may end at any time, and says so where it failed."""
        found: list[Message] = []
        while not found:
            await asyncio.sleep(0)
            found.extend(each for each in self.channel.receive() if not isinstance(each, Notice))
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
        told.loop.run_until_complete(asyncio.wait_for(told._until(lambda: waiting.connections), 60))
        assert [each.endpoint for each in waiting.connections] == [endpoint]
        for each in waiting.connections:
            each.transport.abort()
        told.loop.run_until_complete(told._until(lambda: not endpoint.opened))


def registered(port: int, version: str = "default", weight: float = 1.0) -> Registration:
    """An endpoint that a sidecar announced."""
    return Registration("shop", version, "127.0.0.9", port, f"p{port}", 1, "here", 0.0, weight)


def test_registered_endpoints_are_used_beside_configured_ones(told: Told) -> None:
    """They come and go without a new snapshot; those that stay are the same; the others are let go."""
    told.apply(1, Endpoint("127.0.0.1", 80))
    snapshot = told.worker.snapshot
    told.discover(registered(1), registered(2))
    assert told.addresses() == ["127.0.0.1:80", "127.0.0.9:1", "127.0.0.9:2"]
    static, first, second = snapshot.services["shop"].versions[0].endpoints
    assert [each.config.mesh for each in (static, first, second)] == [False, True, True]
    told.discover(registered(2), registered(3))
    assert told.addresses() == ["127.0.0.1:80", "127.0.0.9:2", "127.0.0.9:3"]
    after = snapshot.services["shop"].versions[0]
    assert after.endpoints[:2] == [static, second]
    assert {each.address for each in after.available} == set(told.addresses())
    assert (first.retired, second.retired, told.worker.snapshot) == (True, False, snapshot)


def test_registered_endpoints_outlast_a_revision(told: Told) -> None:
    """A revision comes with what is registered then, and takes over the live endpoints that are still among it."""
    told.apply(1)
    told.discover(registered(1), registered(2))
    first, _ = told.worker.snapshot.services["shop"].versions[0].endpoints
    told.apply(2, registrations=(registered(1),))
    assert told.worker.snapshot.services["shop"].versions[0].endpoints == [first]
    told.discover()
    assert (told.addresses(), first.retired) == ([], True)


def test_a_version_without_endpoints_leaves_its_share(told: Told) -> None:
    """Traffic goes to the versions that have somebody; once the other has, its weight counts; with nobody at all the
    request hears of it."""
    told.apply(1, versions=(Version("v1", (), 90), Version("v2", (), 10)))
    service = told.worker.snapshot.services["shop"]
    v1, v2 = service.versions

    def chosen() -> set[str]:
        return {found.name for _ in range(500) if (found := service.only or service.choose(None, ""))}  # type: ignore[arg-type]

    both = ("v1", "v2")
    told.discover(registered(1, "v2"), versions=both)
    assert chosen() == {"v2"}
    told.discover(registered(2, "v1"), versions=("v1",))
    assert chosen() == {"v1", "v2"}
    told.discover(versions=("v2",))
    assert chosen() == {"v1"}
    told.discover(versions=both)
    assert chosen() == {"v1", "v2"}
    assert not v1.available
    assert not v2.available


def test_an_endpoint_touches_its_version_alone(told: Told) -> None:
    """What others have is not even looked at, and one of a service that is not known is nobody's."""
    told.apply(1, versions=(Version("v1"), Version("v2")), registrations=(registered(1, "v2"),))
    v1, v2 = told.worker.snapshot.services["shop"].versions
    before = v2.available
    told.discover(registered(2, "v1"), versions=("v1",))
    assert [each.address for each in v1.available] == ["127.0.0.9:2"]
    assert v2.available is before
    told._tell(Discovered((Listed("other", "v1", (registered(3, "v1").endpoint,)),)))
    assert [each.address for each in told.worker.registry.endpoints()] == ["127.0.0.9:1", "127.0.0.9:2"]


def test_a_service_that_comes_leaves_the_others_what_they_are(told: Told) -> None:
    """A revision that is compiled again with one service more has the same live services, routes and tables but for
    that one; where what is registered or weighed is another, the service is made anew."""
    cart = Service("cart", (Version("v1"),))
    both = (Version("v1", (Endpoint("127.0.0.1", 1),), 90), Version("v2", (Endpoint("127.0.0.1", 2),), 10))

    def compile_again(number: int, *services: Service, weights: dict[str, dict[str, float]] | None = None) -> None:
        """Serve revision 1 with these services, each with a route; that of the first is for the gateway."""
        routes = [
            Route(each.name, service=each.name, entry="outbound" if at else "gateway")
            for at, each in enumerate(services)
        ]
        mesh = Mesh(gateway=Gateway(access_log=AccessLog(path="off")), routes=tuple(routes), services=services)
        known = () if number < 4 else (registered(1, "v1"),)
        told.channel.send(Prepare(number, 1, encode(mesh), (), listed=listed(known), weights=weights or {}))
        assert told.loop.run_until_complete(told._answer()) == Prepared(number)
        told.channel.send(Commit(number))
        told.loop.run_until_complete(told._until(lambda: len(told.worker.snapshot.services) == len(services)))
        told._tell(Weighted(weights or {}))

    compile_again(1, Service("shop", both))
    before = told.worker.snapshot
    balanced = before.services["shop"].versions[0].available
    compile_again(2, Service("shop", both), cart)
    after = told.worker.snapshot
    assert after is not before
    assert (after.services["shop"], after.routes[0]) == (before.services["shop"], before.routes[0])
    assert after.tables["gateway"] is before.tables["gateway"]
    assert len(after.tables["outbound"]) == 1
    assert after.services["shop"].versions[0].available is balanced
    compile_again(3, Service("shop", both), weights={"shop": {"v2": 100.0}})
    weighed = told.worker.snapshot
    assert weighed.services["shop"] is not before.services["shop"]
    assert told.weights() == {"v1": 0.0, "v2": 100.0}
    compile_again(4, Service("shop", both), cart)
    assert told.worker.snapshot.services["shop"] is not weighed.services["shop"]
    assert told.addresses() == ["127.0.0.1:1", "127.0.0.9:1"]
    assert {each.address for each in told.worker.registry.endpoints()} == {*told.addresses(), "127.0.0.1:2"}
    told.apply(2, versions=both)
    assert told.worker.snapshot.services["shop"].versions[0].available is not balanced


TWO = (Version("v1", (Endpoint("127.0.0.1", 1),), 90), Version("v2", (Endpoint("127.0.0.1", 2),), 10))


def test_live_weights_take_the_place_of_configured_ones(told: Told) -> None:
    """They hold from the next request on, without a new snapshot and with the same endpoints; then the file's again."""
    told.apply(1, versions=TWO)
    snapshot = told.worker.snapshot
    service = snapshot.services["shop"]
    before = [version.endpoints for version in service.versions]
    told.weigh(v2=100)
    assert (service.only, told.weights()) == (service.versions[1], {"v1": 0, "v2": 100})
    told.weigh(v1=50, v2=50)
    assert (service.only, told.weights()) == (None, {"v1": 50, "v2": 50})
    assert told.worker.snapshot is snapshot
    assert [version.endpoints for version in service.versions] == before
    told.weigh()
    assert told.weights() == {"v1": 90, "v2": 10}
    (view,) = told.worker.registry.views()
    assert [(each.weight, each.declared) for each in view.versions] == [(90, 90), (10, 10)]


def test_live_weights_outlast_a_revision(told: Told) -> None:
    """A revision comes with the live weights of its time, and tells those of the file beside them."""
    told.apply(1, versions=TWO, weights={"shop": {"v1": 20, "v2": 80}, "other": {"v1": 100}})
    assert told.weights() == {"v1": 20, "v2": 80}
    (view,) = told.worker.registry.views()
    assert [(each.weight, each.declared) for each in view.versions] == [(20, 90), (80, 10)]
    told.apply(2, versions=(*TWO, Version("v3", (Endpoint("127.0.0.1", 3),), 5)), weights={"shop": {"v2": 100}})
    assert told.weights() == {"v1": 0, "v2": 100, "v3": 0}
    told.weigh()
    assert told.weights() == {"v1": 90, "v2": 10, "v3": 5}


class Waiting:
    """Stands in line for a connection."""

    def __init__(self) -> None:
        self.connections: list[UpstreamConnection] = []

    def on_connected(self, connection: UpstreamConnection) -> None:
        """One is there."""
        self.connections.append(connection)


class Asking:
    """A request and who sends it, as a choice of version sees them."""

    client = "127.0.0.1"
    entry = "gateway"
    stuck = NOT_STUCK
    is_bare = False

    def __init__(self, peer: str = "", entry: str = "gateway", **headers: str) -> None:
        self.peer = peer
        self.entry = entry
        self._headers = headers
        self.fields: list[bytes] = []
        self.special: dict[bytes, bytes] = {}

    def header(self, name: str) -> str | None:
        """What it carries."""
        return self._headers.get(name)


def chosen(told: Told, asking: Asking) -> set[str]:
    """The versions it meets."""
    service = told.worker.snapshot.services["shop"]
    found = (service.only or service.choose(asking, asking) for _ in range(100))  # type: ignore[arg-type]
    return {version.name for version in found if version}


def test_a_version_for_those_who_ask(told: Told) -> None:
    """Requests that carry what a version asks for meet it at weight 0; while it has no endpoint they are served as
    others are."""
    asked = Match(headers=(ValueMatch("tester", "exact", "yes"),))
    v2 = Version("v2", (), 0, match=asked)
    told.apply(1, versions=(TWO[0], v2))
    assert chosen(told, Asking(tester="yes")) == {"v1"}
    told.discover(registered(1, "v2"), versions=("v2",))
    assert (chosen(told, Asking(tester="yes")), chosen(told, Asking(tester="no"))) == ({"v2"}, {"v1"})
    told.weigh(v2=100)
    assert chosen(told, Asking()) == {"v2"}


def test_a_caller_stays_on_a_version(told: Told) -> None:
    """With `sticky = "identity"` each calling service keeps one version; who proved to be nobody draws, unless it is
    the app of this very proxy."""
    told.apply(
        1, versions=(Version("v1", TWO[0].endpoints, 50), Version("v2", TWO[1].endpoints, 50)), sticky="identity"
    )
    found = {name: chosen(told, Asking(name)) for name in ("web", "mobile", "batch", "audit", "mail")}
    assert {len(versions) for versions in found.values()} == {1}
    assert set().union(*found.values()) == {"v1", "v2"}
    assert chosen(told, Asking()) == {"v1", "v2"}
    assert chosen(told, Asking(entry="outbound")) == {"v1", "v2"}
