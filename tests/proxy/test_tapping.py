"""Requests shown to who looks on: which, how much of them, how many, and nothing of it while nobody does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import msgspec
import pytest

from meshctl.model.auth import ApiKey, Auth
from meshctl.model.tap import Seen, TapEvent, TapFilter, TapOrder, Tapped, Taps
from meshctl.proxy.exchange import Exchange
from meshctl.proxy.ledger import Ledger
from meshctl.proxy.messages import Channel
from meshctl.proxy.worker import Worker
from tests.conformance.upstream import OK

from .shop import Shop, opened

SECRETIVE = OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: s=hunter2\r\nX-Kind: nice\r\n\r\n", 1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The shop that these tests share: a proxy of "web" that knows callers by X-Shop-Pass."""
    auth = (Auth("key", api_key=ApiKey(header="x-shop-pass")),)
    with opened(tmp_path_factory.mktemp("shop"), auth=auth) as made:
        yield made


def tap(shop: Shop, *filters: TapFilter) -> None:
    """Have the proxy show what these want: the first of them is tap 1."""
    shop.proxy.tell(Taps(tuple(TapOrder(at, "web", each) for at, each in enumerate(filters, 1))))
    shop.proxy.ask("commit")


def told(shop: Shop, count: int) -> list[tuple[int, Tapped]]:
    """What it shows, with the number of the tap, until that is `count` requests, shown or counted."""
    found: list[tuple[int, Tapped]] = []
    while sum(each.skipped + (each.event is not None) for _, each in found) < count:
        seen = shop.proxy._expect(Seen)
        found += [(seen.number, msgspec.json.decode(line, type=Tapped)) for line in seen.lines.splitlines()]
    return found


def events(shop: Shop, count: int) -> list[TapEvent]:
    """The requests it shows, which are `count`."""
    return [each.event for _, each in told(shop, count) if each.event is not None]


def get(shop: Shop, target: bytes = b"/a", *lines: bytes, host: bytes = b"orders", answer: bytes = OK) -> None:
    """Have the app ask "orders" through the proxy."""
    with shop.proxy.connect() as app:
        app.send(b"\r\n".join([b"GET %b HTTP/1.1" % target, b"Host: " + host, *lines, b"", b""]))
        if host == b"orders":
            wire = shop.orders.hear()
            wire.read_request()
            wire.send(answer)
        app.read_response()


def test_a_request_is_shown(shop: Shop) -> None:
    """Who called whom, over what, what was asked, with its query where the access log has it, and what came of it."""
    tap(shop, TapFilter())
    get(shop, b"/a?b=c", b"X-Request-Id: abc-1")
    (event,) = events(shop, 1)
    assert (event.proxy, event.source, event.destination, event.version, event.tls) == (
        "out", "web", "orders", "v1", "plain",
    )  # fmt: skip
    assert (event.method, event.host, event.path, event.status) == ("GET", "orders", "/a?b=c", 200)
    assert (event.request_id, event.route, event.client) == ("abc-1", "to-orders", "127.0.0.1")
    assert event.endpoint == f"127.0.0.1:{shop.orders.port}"
    assert 0 < event.latency_us <= event.duration_us < 60_000_000
    assert event.bytes_out == 2
    assert event.request_headers is None


def test_headers_are_shown_without_secrets(shop: Shop) -> None:
    """Where headers are wanted they are there, both ways, but for the values of those that let one in."""
    tap(shop, TapFilter(with_headers=True))
    sent = (b"Authorization: Bearer hunter3", b"Cookie: a=hunter4", b"X-Shop-Pass: hunter5", b"X-User: alice",
            b"User-Agent: test")  # fmt: skip
    get(shop, b"/a", *sent, answer=SECRETIVE)
    (event,) = events(shop, 1)
    asked, answered = event.request_headers or {}, event.response_headers or {}
    assert (asked["x-user"], asked["user-agent"], answered["x-kind"]) == ("alice", "test", "nice")
    hidden = (asked["authorization"], asked["cookie"], asked["x-shop-pass"], answered["set-cookie"])
    assert set(hidden) == {"[redacted]"}
    assert b"hunter" not in msgspec.json.encode(event)


def test_what_the_proxy_answers_itself_is_shown(shop: Shop) -> None:
    """A refusal has its reason, and nowhere that it went."""
    tap(shop, TapFilter(statuses=((400, 599),)))
    get(shop, b"http://nowhere.invalid/", host=b"nowhere.invalid")
    (event,) = events(shop, 1)
    assert event.reason
    assert event.status >= 400


def test_filters_are_the_proxys(shop: Shop) -> None:
    """Each tap gets what it wants: what none wants is not sent at all."""
    tap(
        shop,
        TapFilter(paths=("/wanted",)),
        TapFilter(headers=(("x-user", "al*"),)),
        TapFilter(sources=("cart",)),
        TapFilter(slow=60.0),
    )
    get(shop, b"/unwanted")
    get(shop, b"/wanted/1")
    get(shop, b"/other", b"X-User: alice")
    get(shop, b"/other", b"X-User: bob")
    get(shop, b"/wanted/2", b"X-User: al")
    found = [(number, each.event.path) for number, each in told(shop, 4) if each.event]
    assert sorted(found) == [(1, "/wanted/1"), (1, "/wanted/2"), (2, "/other"), (2, "/wanted/2")]


def test_what_is_beyond_the_rate_is_counted(shop: Shop) -> None:
    """Of more than the rate allows only so many are shown, and the others counted: none is missing."""
    tap(shop, TapFilter(max_rate=2.0))
    # More than the rate allows in the time that a slow machine takes for them.
    for _ in range(60):
        get(shop)
    found = told(shop, 60)
    shown = sum(each.event is not None for _, each in found)
    assert 2 <= shown < 60
    assert sum(each.skipped for _, each in found) == 60 - shown


def test_nothing_is_shown_when_nobody_looks(shop: Shop) -> None:
    """After the last tap has gone nothing more is sent, and requests are counted and logged as ever."""
    tap(shop, TapFilter())
    get(shop)
    assert len(events(shop, 1)) == 1
    tap(shop)
    before = shop.proxy.series("to-orders").requests
    get(shop, b"/unseen")
    assert shop.proxy.series("to-orders").requests == before + 1
    assert shop.proxy.line(lambda line: line["path"] == "/unseen")["status"] == 200
    tap(shop, TapFilter(paths=("/seen",)))
    get(shop, b"/seen")
    assert [event.path for event in events(shop, 1)] == ["/seen"]


def test_the_hot_path_is_as_it_was() -> None:
    """Without a tap neither the ledger nor exchanges have anything of one; with one they have, until it goes."""
    ours, theirs = socket.socketpair()
    loop = asyncio.new_event_loop()
    worker = Worker(loop, Channel(theirs), 0, 1)
    answer = Exchange.answer
    order = TapOrder(1, "web", TapFilter(with_headers=True))
    try:
        for orders in ((), (order,), (order, TapOrder(2, "web", TapFilter())), ()):
            worker.orders._tap(orders)
            assert ("record" in vars(worker.ledger)) is bool(orders)
            assert (Exchange.answer is answer) is not bool(orders)
        assert worker.ledger.record.__func__ is Ledger.record
    finally:
        worker.orders._tap(())
        worker.close()
        loop.remove_reader(worker.orders.channel.socket)
        worker.orders.channel.close()
        ours.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
