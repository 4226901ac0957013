"""What keeps a user on one version, on connections that say the same again and on those that do not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import msgspec
import pytest

from meshctl.core.split import Split, bucket
from meshctl.model.mesh import Gateway
from meshctl.model.policy import Balance, Key
from meshctl.model.route import Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.proxy.client import Client
from meshctl.proxy.keys import NOT_STUCK, Sticky
from meshctl.proxy.stream import Stream
from meshctl.proxy.worker import Worker
from meshctl.wire.message import Request
from meshctl.wire.plain import PlainRequests

from .answerer import Answerer
from .lone_proxy import LoneProxy, mesh_of
from .passage import request


class Nobody:
    """A client of the gateway."""

    client = "192.0.2.1"
    peer = ""
    entry = "gateway"
    trusted = False
    stuck = NOT_STUCK


class Ours:
    """A proxy without an identity."""

    service = ""


def asked(plain: PlainRequests, path: str, user: str, number: str) -> Request:
    """The next request of a connection."""
    lines = (
        "Host: a.test",
        f"Cookie: user={user}; x=1",
        f"X-User: {user}",
        f"X-Request-Id: {number}",
        "traceparent: t",
    )
    found = plain.read("\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode(), 100)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("key", "values"),
    [
        (Key("header", "x-user"), ["ann", "ann", "bob", "ann"]),
        (Key("cookie", "user"), ["ann", "ann", "bob", "ann"]),
        (Key("query", "q"), ["1", "2", "2", "1"]),
        (Key("header", "x-request-id"), ["r1", "r2", "r3", "r4"]),
        (Key("header", "x-other"), [None, None, None, None]),
        (Key("client_ip"), ["192.0.2.1"] * 4),
    ],
    ids=str,
)
def test_each_request_has_the_bucket_of_its_own_key(key: Key, values: list[str | None]) -> None:
    """Whatever a connection said before, a request's bucket is that of its own key, and of the service asked for."""
    plain, client = PlainRequests(), cast("Stream", Nobody())
    stickies = {name: Sticky(key, name, cast("Worker", Ours())) for name in ("orders", "carts")}
    requests = (("/?q=1", "ann", "r1"), ("/?q=2", "ann", "r2"), ("/?q=2", "bob", "r3"), ("/?q=1", "ann", "r4"))
    for (path, user, number), value in zip(requests, values, strict=True):
        request = asked(plain, path, user, number)
        for name, sticky in stickies.items():
            expected = None if value is None else bucket(value, name)
            assert [sticky.bucket(request, client) for _ in range(2)] == [expected] * 2


def test_connections_begin_without_a_bucket() -> None:
    """What one client came to is not what the next one comes to."""
    assert Client.stuck is NOT_STUCK
    assert NOT_STUCK.sticky is None


@pytest.fixture
def two() -> Iterator[tuple[Answerer, Answerer]]:
    """Endpoints that say who they are."""
    made = Answerer(200, "X-Is: v1"), Answerer(200, "X-Is: v2")
    yield made
    for each in made:
        each.close()


@pytest.mark.parametrize("what", ["sticky", "hash"])
def test_clients_behind_trusted_proxies(tmp_path: Path, two: tuple[Answerer, Answerer], what: str) -> None:
    """The key is the address of the client itself, behind proxies that are trusted; nobody else is believed. A
    connection from such a proxy has many clients."""
    key = Key("client_ip")
    places = [Endpoint("127.0.0.1", each.port) for each in two]
    versions = tuple(Version(f"v{number}", (each,), 50) for number, each in enumerate(places, 1))
    if what == "sticky":
        service = Service("app", versions, sticky=key)
    else:
        service = Service("app", (Version("v1", tuple(places)),), balance=Balance("hash", key))
    mesh = mesh_of(service, routes=(Route("r", service="app"),))
    addresses = [f"203.0.113.{number}" for number in range(40)]

    def answered() -> list[bytes | None]:
        found = []
        with proxy.connect("gateway") as client:
            for each in addresses * 2:
                client.send(request("/", f"X-Forwarded-For: 6.6.6.6, {each}, 10.0.0.9"))
                found.append(client.read_response().get("x-is"))
        return found

    proxy = LoneProxy(tmp_path, mesh, "gateway")
    try:
        assert len(set(answered())) == 1
        gateway = Gateway(admin="off", trusted_proxies=("127.0.0.0/8", "10.0.0.0/8"))
        proxy.apply(msgspec.structs.replace(mesh, gateway=gateway))
        found = answered()
        assert (found[:40], len(set(found))) == (found[40:], 2)
        if what == "sticky":
            split = Split([(name, 50.0) for name in (b"v1", b"v2")])
            assert found[:40] == [split.by_bucket(bucket(each, "app")) for each in addresses]
    finally:
        assert proxy.end() == []
