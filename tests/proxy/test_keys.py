"""What keeps a user on one version, on connections that say the same again and on those that do not."""

from __future__ import annotations

from typing import cast

import pytest

from meshctl.core.split import bucket
from meshctl.model.policy import Key
from meshctl.proxy.client import Client
from meshctl.proxy.keys import NOT_STUCK, Sticky
from meshctl.proxy.stream import Stream
from meshctl.proxy.worker import Worker
from meshctl.wire.message import Request
from meshctl.wire.plain import PlainRequests


class Nobody:
    """A client of the gateway."""

    client = "192.0.2.1"
    peer = ""
    entry = "gateway"
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
