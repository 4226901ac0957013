"""What becomes of time on its way through a proxy: of the caller's deadline, of the route's, of single attempts, and of
answers that ask to be asked again later."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from typing import Any

import pytest

from meshctl.model.policy import Ejection, Retry, RetryBudget, UpstreamTimeouts
from meshctl.model.route import HeaderEdits, Match, Route
from meshctl.model.service import Endpoint, Service, Version
from tests.conformance.upstream import Upstream
from tests.conformance.wire import PATIENCE, Message, Wire

from .lone_proxy import LoneProxy, mesh_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlo"
BUSY = b"HTTP/1.1 %b Busy\r\nContent-Length: 0\r\n%b\r\n"
ON = ("connect", "reset", "refused", "timeout", "429", "503")
PER_TRY = 3.0
"""Seconds for an attempt, longer than the machine may stand still before the endpoint has it, or has answered it."""
ROUTES: dict[str, dict[str, Any]] = {
    "free": {},
    "short": {"timeout": 0.3},
    "long": {"timeout": 20.0},
    "try": {"retry": Retry(2, ON, per_try=PER_TRY)},
    "bounded": {"retry": Retry(2, ON, per_try=0.3), "timeout": 0.4},
    "once": {"retry": Retry(0, (), per_try=PER_TRY)},
    "again": {"retry": Retry(1, ON)},
    "edited": {"timeout": 20.0, "request_headers": HeaderEdits(set=(("x-request-timeout", "mine"),))},
}


@pytest.fixture(scope="module")
def services() -> Iterator[tuple[Upstream, Upstream]]:
    """Two endpoints, of which "pair" has both and "lone" the first."""
    made = Upstream("a"), Upstream("b")
    yield made
    for each in made:
        each.listener.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, services: tuple[Upstream, Upstream]) -> Iterator[LoneProxy]:
    """A proxy with a route for each host."""
    ends = tuple(Endpoint("127.0.0.1", each.port) for each in services)
    calm: dict[str, Any] = {"ejection": Ejection(enabled=False), "timeouts": UpstreamTimeouts(response=20)}
    lone, pair = Service("lone", (Version("v1", ends[:1]),), **calm), Service("pair", (Version("v1", ends),), **calm)
    stingy = Service("stingy", (Version("v1", ends[:1]),), retry_budget=RetryBudget(0.0, 0.1), **calm)
    routes = [
        Route(f"{name}-{service}", Match(hosts=(f"{name}.{service}",)), service=service, **policies)
        for name, policies in ROUTES.items()
        for service in ("lone", "pair", "stingy")
    ]
    proxy = LoneProxy(tmp_path_factory.mktemp("timing"), mesh_of(lone, pair, stingy, routes=tuple(routes)), "gateway")
    yield proxy
    assert proxy.end() == []


@pytest.fixture
def a(services: tuple[Upstream, Upstream]) -> Iterator[Upstream]:
    """The first endpoint; both forget their connections after each test."""
    yield services[0]
    for each in services:
        each.collect()
        each.forget()


@pytest.fixture
def client(running: LoneProxy) -> Iterator[Wire]:
    """A client's connection."""
    with running.connect("gateway") as wire:
        yield wire


def request(host: str, *lines: str, method: str = "GET") -> bytes:
    """A request's bytes."""
    return "\r\n".join([f"{method} / HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode()


def asked(client: Wire, upstream: Upstream, host: str, *lines: str) -> Message:
    """What the endpoint sees of a request, which it answers."""
    client.send(request(host, *lines))
    wire = upstream.hear()
    seen = wire.read_request()
    wire.send(OK)
    assert client.read_response().status == 200
    return seen


def milliseconds(message: Message) -> int:
    """What a request says is left."""
    said = message.get("x-request-timeout")
    assert said is not None
    assert said.endswith(b"ms")
    return int(said[:-2])


def refusal(client: Wire) -> tuple[int, bytes | None]:
    """Status and reason of the next answer."""
    answer = client.read_response()
    return answer.status, answer.get("x-meshctl-reason")


# --- deadlines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "lines", "expected"),
    [
        ("free", (), None),
        ("long", (), 20_000),
        ("free", ("X-Request-Timeout: 5000ms",), 5_000),
        ("long", ("X-Request-Timeout: 5000ms",), 5_000),
        ("long", ("X-Request-Timeout: 50000ms",), 20_000),
        ("long", ("grpc-timeout: 5S", "X-Request-Timeout: 9000ms"), 5_000),
        # What is no deadline neither holds nor passes.
        ("free", ("X-Request-Timeout: soon",), None),
        ("free", ("grpc-timeout: 1y",), None),
        ("free", ("X-Request-Timeout: 1ms", "X-Request-Timeout: 2ms"), None),
        ("long", ("X-Request-Timeout: 1",), 20_000),
    ],
)
def test_what_is_left_is_passed_on(
    client: Wire, a: Upstream, host: str, lines: tuple[str, ...], expected: int | None
) -> None:
    """The least of the route's time and the caller's is what the endpoint is told, and it is told nothing where there
    is no limit."""
    seen = asked(client, a, f"{host}.lone", *lines)
    assert (seen.get("x-request-timeout") is None) is (expected is None)
    if expected is not None:
        assert expected - 4_500 < milliseconds(seen) <= expected
    assert (seen.get("grpc-timeout") is not None) is any("5S" in line for line in lines)


def test_requests_of_a_connection_do_not_share_deadlines(client: Wire, a: Upstream) -> None:
    """Of heads that are the same but for the time left, or the route, each gets its own."""
    assert asked(client, a, "free.lone").get("x-request-timeout") is None
    assert milliseconds(asked(client, a, "long.lone")) > 10_000
    assert asked(client, a, "free.lone").get("x-request-timeout") is None
    assert milliseconds(asked(client, a, "free.lone", "X-Request-Timeout: 9000ms")) <= 9_000
    assert milliseconds(asked(client, a, "free.lone", "X-Request-Timeout: 8000ms")) <= 8_000
    assert asked(client, a, "edited.lone").get("x-request-timeout") == b"mine"


def test_grpc_is_told_in_its_own_words(client: Wire, a: Upstream) -> None:
    """A caller's grpc-timeout is rewritten to what is left."""
    said = asked(client, a, "long.lone", "grpc-timeout: 1H").get("grpc-timeout")
    assert said is not None
    assert said.endswith(b"m")
    assert 15_000 < int(said[:-1]) <= 20_000


@pytest.mark.parametrize("line", ["X-Request-Timeout: 0ms", "grpc-timeout: 0n"])
def test_no_time_at_all(client: Wire, a: Upstream, line: str) -> None:
    """A request that may take no time is refused without anybody being asked, and the connection goes on."""
    client.send(request("free.lone", line))
    assert refusal(client) == (504, b"deadline_exceeded")
    assert a.is_silent()
    assert asked(client, a, "free.lone").get("x-request-timeout") is None


@pytest.mark.parametrize(
    ("host", "lines", "reason"),
    [
        ("free.lone", ("X-Request-Timeout: 200ms",), b"deadline_exceeded"),
        ("free.lone", ("grpc-timeout: 200m",), b"deadline_exceeded"),
        ("long.lone", ("grpc-timeout: 200m",), b"deadline_exceeded"),
        ("short.lone", ("grpc-timeout: 20S",), b"route_timeout"),
        ("short.lone", (), b"route_timeout"),
        # The attempt's own time comes first, but there is none left then for another one to end in.
        ("bounded.lone", (), b"route_timeout"),
    ],
)
def test_whose_time_ran_out(client: Wire, a: Upstream, host: str, lines: tuple[str, ...], reason: bytes) -> None:
    """An endpoint that does not answer in time costs a 504 that says whose time it was."""
    client.send(request(host, *lines))
    # Nobody is at the endpoint; on a machine that stands still the time may be over before it is connected to.
    assert refusal(client) == (504, reason)


def test_an_answer_that_has_begun_ends_with_the_deadline(client: Wire, a: Upstream) -> None:
    """A deadline is for the whole exchange: an answer that takes longer is cut, so that nobody takes it for whole."""
    client.send(request("free.lone", "X-Request-Timeout: 3000ms"))
    wire = a.hear()
    wire.read_request()
    wire.send(LONG)
    assert client.read_to_end().endswith(b"\r\n\r\nlo")


# --- single attempts --------------------------------------------------------------------------------------------------


def test_an_attempt_that_takes_too_long_is_made_elsewhere(
    client: Wire, a: Upstream, services: tuple[Upstream, Upstream]
) -> None:
    """Where one endpoint does not answer within the time for an attempt, the other one is asked."""
    client.send(request("try.pair"))
    first, _ = next_asked(*services)
    second, wire = next_asked(*services)
    assert first is not second
    wire.send(OK)
    assert client.read_response().status == 200


def next_asked(*upstreams: Upstream) -> tuple[Upstream, Wire]:
    """The endpoint that a new connection is made to, and that connection, whose request is read."""
    ready, _, _ = select.select([each.listener for each in upstreams], [], [], PATIENCE)
    (found,) = [each for each in upstreams if each.listener in ready]
    wire = found.hear()
    wire.read_request()
    return found, wire


def test_a_method_that_may_do_something_twice_is_not_repeated(client: Wire, a: Upstream) -> None:
    """A POST that reached the endpoint fails when the time for an attempt is over."""
    client.send(request("try.lone", "Content-Length: 2", method="POST") + b"ab")
    a.hear().read_request()
    assert refusal(client) == (504, b"upstream_timeout")
    assert a.is_silent()


def test_an_answer_that_has_begun_is_not_cut_by_it(client: Wire, a: Upstream) -> None:
    """The time for an attempt is over with the answer's head: a stream goes on for as long as it likes."""
    client.send(request("once.lone"))
    wire = a.hear()
    wire.read_request()
    wire.send(LONG)
    head = client.read_until(b"\r\n\r\n")
    assert b" 200 " in head
    time.sleep(PER_TRY + 0.5)
    wire.send(b"ng")
    assert client.read_exactly(4) == b"long"


def test_a_slow_upload_is_not_cut_by_it(client: Wire, a: Upstream) -> None:
    """The time for an attempt begins with the request's last byte."""
    client.send(request("once.lone", "Content-Length: 4", method="PUT") + b"ab")
    wire = a.hear()
    time.sleep(PER_TRY + 0.5)
    client.send(b"cd")
    assert wire.read_request().body == b"abcd"
    wire.send(OK)
    assert client.read_response(method="PUT").status == 200


def test_it_holds_without_retries(client: Wire, a: Upstream) -> None:
    """Also the only attempt may take no longer."""
    client.send(request("once.lone"))
    a.hear().read_request()
    assert refusal(client) == (504, b"upstream_timeout")


# --- answers that ask to be asked again later -------------------------------------------------------------------------


@pytest.mark.parametrize("status", [b"503", b"429"])
def test_an_endpoint_that_asks_for_time_gets_it(client: Wire, a: Upstream, status: bytes) -> None:
    """The only endpoint there is is not asked again before it wants to be."""
    client.send(request("again.lone"))
    wire = a.hear()
    wire.read_request()
    began = time.monotonic()
    wire.send(BUSY % (status, b"Retry-After: 1\r\n"))
    wire = a.hear()
    assert time.monotonic() - began >= 0.99
    wire.read_request()
    wire.send(OK)
    assert client.read_response().status == 200


@pytest.mark.parametrize(
    ("host", "lines", "said"),
    [
        # Longer than a request is held, and longer than this one may take.
        ("again.lone", (), b"Retry-After: 60\r\n"),
        ("again.lone", (), b"Retry-After: Fri, 31 Dec 2299 23:59:59 GMT\r\n"),
        ("again.lone", ("X-Request-Timeout: 2900ms",), b"Retry-After: 3\r\n"),
        # A route that does not retry on it.
        ("free.lone", (), b""),
    ],
)
def test_one_that_asks_for_too_much_has_the_last_word(
    client: Wire, a: Upstream, host: str, lines: tuple[str, ...], said: bytes
) -> None:
    """An answer that asks for more time than there is goes to the client, with all that it says."""
    client.send(request(host, *lines))
    wire = a.hear()
    wire.read_request()
    wire.send(BUSY % (b"503", said))
    answer = client.read_response()
    assert (answer.status, answer.get("x-meshctl-reason")) == (503, None)
    assert (answer.get("retry-after") is not None) is bool(said)
    assert a.is_silent()


def test_others_are_asked_at_once(client: Wire, a: Upstream, services: tuple[Upstream, Upstream]) -> None:
    """What one endpoint asks for is no matter of the other."""
    client.send(request("again.pair"))
    first, wire = next_asked(*services)
    wire.send(BUSY % (b"503", b"Retry-After: 60\r\n"))
    second, wire = next_asked(*services)
    assert first is not second
    wire.send(OK)
    assert client.read_response().status == 200


# --- budgets ----------------------------------------------------------------------------------------------------------


def test_a_service_has_its_own_budget(client: Wire, a: Upstream) -> None:
    """Once a service's retries are spent, failures are passed on, whatever its route would allow."""
    for attempts in (2, 1, 1):
        client.send(request("again.stingy"))
        for _ in range(attempts):
            wire = a.hear()
            wire.read_request()
            wire.send(BUSY % (b"503", b""))
        assert client.read_response().status == 503
