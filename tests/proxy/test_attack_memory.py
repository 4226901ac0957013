"""What strangers can make a proxy remember: nothing long, however many of them say it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import psutil
import pytest

from meshctl.core.accept_encoding import preferred
from meshctl.core.cache_control import directives
from meshctl.core.caching import varies_by
from meshctl.core.cells import Cells
from meshctl.core.principal import Principal
from meshctl.core.shelves import Shelves
from meshctl.model.caching import Caching
from meshctl.model.mesh import Mesh
from meshctl.model.policy import Key, Retry
from meshctl.model.route import Match, Respond, Route
from meshctl.model.service import Service, Version
from meshctl.model.tap import TapEvent
from meshctl.observe.busiest import Busiest
from meshctl.observe.counters import Counters
from meshctl.observe.series import Series
from meshctl.proxy.api_callers import ApiCallers
from meshctl.proxy.caching import LiveCaching
from meshctl.proxy.compressing import is_among
from meshctl.proxy.counted import network
from meshctl.proxy.filters.addresses import verdict
from meshctl.proxy.plain import PlainCallers
from meshctl.wire.message import Request
from meshctl.wire.request_reader import RequestReader
from meshctl.wire.target import split_host

from .lone_proxy import LoneProxy, mesh_of
from .pieces import Piece

MANY = 150
LONG = 60_000
SMALL = 30_000
"""Bytes that a resting connection may cost on average, far below what it was sent."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneProxy]:
    """A proxy that sends on, chooses by a header, and answers by itself."""
    piece = Piece("a")
    service = Service(
        "a", (Version("v1", (piece.endpoint,)), Version("v2", (piece.endpoint,))), sticky=Key("header", "x-user")
    )
    routes = (
        Route("own", match=Match(hosts=("own",)), respond=Respond(body="own")),
        Route("sent", service="a", retry=Retry(0)),
    )
    proxy = LoneProxy(tmp_path_factory.mktemp("gateway"), mesh_of(service, routes=routes), "gateway")
    yield proxy
    assert proxy.end() == []
    piece.close()


@pytest.mark.parametrize("host", [b"own", b"sent"])
def test_resting_connections_keep_no_long_head(gateway: LoneProxy, host: bytes) -> None:
    """A connection that rests after a request with a long head costs as much as any other."""
    process = psutil.Process(gateway.process.pid)
    before = 0
    clients = []
    try:
        for number in range(MANY + 10):
            client = gateway.connect("gateway")
            clients.append(client)
            if number == 10:
                before = process.memory_full_info().uss
            client.send(
                b"GET / HTTP/1.1\r\nHost: %b\r\nX-User: %d\r\nX-Long: %06d%b\r\n\r\n"
                % (host, number, number, b"a" * LONG)
            )
            assert client.read_response().status == 200
        assert (process.memory_full_info().uss - before) / MANY < SMALL
    finally:
        for each in clients:
            each.close()


class Reader(RequestReader):
    """Reads requests and forgets them."""

    def on_request(self, request: Request) -> None:
        """See `RequestReader`."""

    def on_message_complete(self) -> None:
        """See `RequestReader`."""
        self.take_trailers()


def read(name: str) -> None:
    """A request with a field of this name."""
    Reader().feed(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n%b: y\r\n\r\n" % name.encode())


@pytest.mark.parametrize(
    "meet",
    [
        split_host,
        lambda said: preferred(said, ("gzip", "br")),
        directives,
        read,
        lambda said: is_among(f"text/{said}", ("text/plain",)),
        lambda said: varies_by(Caching(), {b"vary": said.encode()}),
        lambda said: network(f"fe80::1%{said}"),
        verdict(["10.0.0.0/8"], []),
    ],
    ids=["hosts", "codings", "directives", "names", "media types", "vary", "zones of addresses", "addresses"],
)
def test_nothing_long_is_remembered(meet: Callable[[str], object]) -> None:
    """What is looked up because most say the same is not kept of those who say something long, and each another."""
    meet("a" * LONG)
    tracemalloc.start()
    try:
        for number in range(150):
            meet(f"{number:06}{'a' * LONG}")
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


def fill_plain(number: int, made: PlainCallers) -> None:
    """A caller in the clear whom nobody has seen before."""
    made.came(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    made.left(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")


def fill_series(number: int, made: Series) -> None:
    """A service that calls and was never heard of."""
    made.of(f"service-{number}").record(200, 0.1, 1, 1, f"reason:{number}")


def fill_cells(number: int, made: Cells) -> None:
    """A key that nobody has counted yet."""
    made.values[made.find(hash(("limit", number)), 1.0)] = 1e9


def fill_shelves(number: int, made: Shelves[Any]) -> None:
    """An answer to another target each time."""
    made.put(f"/{number}", ("route", ""), (), (), Kept(1000, float(number)))


def fill_denials(number: int, made: Counters) -> None:
    """A call that a rule denies to somebody new, in a series of its own with a reason of its own."""
    made.deny("rule", f"service-{number}", is_shadow=False)
    made.series("route").record(403, 0.1, 1, 1, f"denied:{number}")


def fill_callers(number: int, made: ApiCallers) -> None:
    """A caller of a version with a key that nobody has seen."""
    exchange: Any = SimpleNamespace(principal=Principal(f"{number}{'a' * 200}", "keys", {}))
    made.came("api", "v1", exchange, float(number))


def fill_caching(number: int, made: LiveCaching) -> None:
    """Another target that was changed, and another that is not kept."""
    made.change(f"/{number}{'a' * 200}")
    request: Any = SimpleNamespace(target=f"/{number}{'b' * 200}", owner=("route", ""))
    made.pass_by(request)


def fill_busiest(number: int, made: Busiest) -> None:
    """A kind of request that `top` has not seen: a client, a method and a path of its own."""
    path = f"/{number}x{'a' * 200}/{number}b"
    made.add(TapEvent(0.0, "gateway", f"M{number}", "a", path, 200, 1, "id", client=f"{number}"))


class Kept(NamedTuple):
    """What is kept of an answer: so much."""

    size: int
    at: float


def _worker() -> Any:
    """Stands for one, with a configuration that keeps some answers."""
    return SimpleNamespace(snapshot=SimpleNamespace(mesh=Mesh()))


@pytest.mark.parametrize(
    ("make", "fill"),
    [
        (PlainCallers, fill_plain),
        (lambda: Series(("route", "service", "v1")), fill_series),
        (lambda: Cells(memoryview(bytearray(128 * 64))), fill_cells),
        (lambda: Shelves(200_000), fill_shelves),
        (Counters, fill_denials),
        (ApiCallers, fill_callers),
        (lambda: LiveCaching(_worker()), fill_caching),
        (Busiest, fill_busiest),
    ],
    ids=[
        "callers in the clear",
        "callers of a series",
        "rates",
        "answers",
        "denials",
        "callers of an API",
        "changed targets",
        "kinds of requests",
    ],
)
def test_tables_are_bounded(make: Callable[[], Any], fill: Callable[[int, Any], None]) -> None:
    """Of thousands whom nobody has seen before, a table keeps no more than of the first ones."""
    made = make()
    tracemalloc.start()
    try:
        for number in range(6_000):
            fill(number, made)
        before = tracemalloc.get_traced_memory()[0]
        for number in range(6_000, 9_000):
            fill(number, made)
        assert tracemalloc.get_traced_memory()[0] - before < 200_000
    finally:
        tracemalloc.stop()
