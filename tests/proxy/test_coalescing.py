"""Requests for the same at the same time, in a proxy with real connections: one goes to the service, the others wait
for its answer, and none waits for what it cannot use."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from meshctl.model.caching import Caching
from meshctl.model.policy import Limits, Retry
from meshctl.model.route import Route
from tests.conformance.wire import PATIENCE, Wire

from .lone_proxy import mesh_of
from .passage import Passage, answer, request

FRESH = "Cache-Control: max-age=600"


@contextlib.contextmanager
def asking(passage: Passage, count: int, *lines: str, target: str = "/") -> Iterator[tuple[Wire, list[Wire]]]:
    """So many clients whose requests are all there, of which the first one's has come to the service."""
    passage.proxy.until(lambda: passage.proxy.sample().in_flight == 0)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(passage.proxy.connect("gateway")) for _ in range(count)]
        clients[0].send(request(target, *lines))
        wire = passage.app.hear()
        wire.read_request()
        for each in clients[1:]:
            each.send(request(target, *lines))
        passage.proxy.until(lambda: passage.proxy.sample().in_flight == count)
        yield wire, clients


def serve_all(passage: Passage, count: int, theirs: bytes) -> None:
    """Answer so many requests, once they all are at the service."""
    wires = []
    for _ in range(count):
        wires.append(passage.app.hear())
        wires[-1].read_request()
    for each in wires:
        each.send(theirs)


def test_one_for_two_hundred(cached: Passage) -> None:
    """Two hundred requests for the same are one to the service, and all get its answer."""
    with asking(cached, 200) as (wire, clients):
        assert cached.app.is_silent()
        wire.send(answer(FRESH, body=b"x" * 10_000))
        found = [each.read_response() for each in clients]
        assert {each.body for each in found} == {b"x" * 10_000}
        assert wire.is_silent()
    assert cached.app.is_silent()
    hits = [each for each in found if (each.get("cache-status") or b"").startswith(b"meshctl; hit")]
    assert len(hits) == 199


def test_a_long_answer(passage: Passage) -> None:
    """Those who wait get a long answer, too, that came in pieces."""
    passage.serve(cache=Caching())
    with asking(passage, 3, target="/long") as (wire, clients):
        wire.send(answer(FRESH, body=b"x" * 200_000)[:-1])
        assert clients[0].read_exactly(100_000)
        wire.send(b"x")
        assert [len(each.read_response().body) for each in clients[1:]] == [200_000] * 2


def test_a_client_that_takes_nothing(passage: Passage) -> None:
    """Nobody waits for a client that does not take its answer: the next one asks in its place, and the others wait for
    that."""
    passage.serve(cache=Caching(coalesce=600.0, largest=1 << 25))
    passage.proxy.until(lambda: passage.proxy.sample().in_flight == 0)
    with contextlib.ExitStack() as stack:
        slow = stack.enter_context(passage.proxy.connect("gateway", receive=4096))
        slow.send(request("/large"))
        wire = passage.app.hear()
        wire.read_request()
        clients = [stack.enter_context(passage.proxy.connect("gateway")) for _ in range(3)]
        for each in clients:
            each.send(request("/large"))
        passage.proxy.until(lambda: passage.proxy.sample().in_flight == 4)
        # More than all buffers on the way take.
        sending = threading.Thread(target=wire.send_on, args=(answer(FRESH, body=bytes(24_000_000)),), daemon=True)
        sending.start()
        other = passage.app.hear()
        other.read_request()
        assert passage.app.is_silent()
        other.send(answer(FRESH, body=b"quick"))
        assert [each.read_response().body for each in clients] == [b"quick"] * 3
        slow.close()
        sending.join(PATIENCE)


@pytest.mark.parametrize("theirs", [answer("Cache-Control: no-store"), answer(status=500), answer(FRESH, "Vary: *")])
def test_nobody_waits_for_what_is_not_kept(cached: Passage, theirs: bytes) -> None:
    """Where the first answer turns out to be none to keep, all others go to the service at once, not one by one; and
    the next time nobody waits at all."""
    with asking(cached, 5) as (wire, clients):
        wire.send(theirs)
        assert clients[0].read_response().body == b"ok"
        serve_all(cached, 4, theirs)
        assert {each.read_response().body for each in clients[1:]} == {b"ok"}
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(cached.proxy.connect("gateway")) for _ in range(3)]
        for each in clients:
            each.send(request())
        serve_all(cached, 3, theirs)
        assert {each.read_response().body for each in clients} == {b"ok"}


def test_a_long_body_that_is_not_kept(passage: Passage) -> None:
    """Nor does anybody wait for the end of a body that has become too long to be kept."""
    passage.serve(cache=Caching(largest=100))
    with asking(passage, 2, target="/endless") as (wire, clients):
        wire.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n")
        wire.send(b"c8\r\n" + b"x" * 200 + b"\r\n")
        serve_all(passage, 1, answer(body=b"mine"))
        assert clients[1].read_response().body == b"mine"


def test_the_first_leaves(cached: Passage) -> None:
    """When the first client leaves, another one's request takes its place, and nobody fails."""
    with asking(cached, 4) as (_, clients):
        clients[0].close()
        serve_all(cached, 1, answer(FRESH, body=b"second"))
        assert {each.read_response().body for each in clients[1:]} == {b"second"}
    assert cached.app.is_silent()


def test_others_leave(cached: Passage) -> None:
    """Those who leave while they wait are waited for by nobody."""
    with asking(cached, 4) as (wire, clients):
        clients[1].close()
        clients[2].reset()
        cached.proxy.until(lambda: cached.proxy.sample().in_flight == 2)
        wire.send(answer(FRESH))
        assert [clients[at].read_response().status for at in (0, 3)] == [200, 200]


def test_the_first_fails(cached: Passage) -> None:
    """When the service fails the first one, the others find out for themselves."""
    with asking(cached, 3) as (wire, clients):
        wire.half_close()
        assert clients[0].read_response().get("x-meshctl-reason") == b"upstream_reset"
        serve_all(cached, 2, answer(FRESH))
        assert {each.read_response().status for each in clients[1:]} == {200}


def test_patience(passage: Passage) -> None:
    """Nobody waits longer than the route lets them; with none nobody waits."""
    for patience in (0.05, 0.0):
        passage.serve(cache=Caching(coalesce=patience))
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(passage.proxy.connect("gateway")) for _ in range(3)]
            for each in clients:
                each.send(request("/slow"))
            serve_all(passage, 3, answer("Cache-Control: no-store"))
            assert {each.read_response().status for each in clients} == {200}


def test_variants(cached: Passage) -> None:
    """Of requests that differ by what the answer varies by, one of each kind goes to the service."""
    vary = "Vary: Accept-Language"
    cached.pass_through(request("/", "Accept-Language: fr"), answer(FRESH, vary))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(cached.proxy.connect("gateway")) for _ in range(6)]
        for number, each in enumerate(clients):
            each.send(request("/", f"Accept-Language: {('de', 'en')[number % 2]}"))
        for _ in range(2):
            wire = cached.app.hear()
            said = wire.read_request().get("accept-language") or b""
            wire.send(answer(FRESH, vary, body=said))
        assert [each.read_response().body for each in clients] == [b"de", b"en"] * 3
    assert cached.app.is_silent()


def test_one_validation(passage: Passage) -> None:
    """Requests for what is stale wait for one question to the service; where it fails, all are given what is kept."""
    passage.serve(cache=Caching(stale_if_error=300.0))
    for target, word in (
        ("/holds", b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nCache-Control: max-age=600\r\nAge: 1\r\n\r\n'),
        ("/fails", answer(status=503)),
    ):
        passage.pass_through(request(target), answer("Cache-Control: max-age=10", "Age: 20", 'ETag: "x"'))
        with asking(passage, 20, target=target) as (wire, clients):
            wire.send(word)
            assert {each.read_response().body for each in clients} == {b"ok"}
        assert passage.app.is_silent()


def test_flood(tmp_path: Path) -> None:
    """However many targets are asked for, what is kept stays within its bound, and so does the memory."""
    flooded = Passage(tmp_path)
    try:
        mesh = mesh_of(flooded.service, routes=(Route("r", service="app", retry=Retry(0), cache=Caching()),))
        gateway = msgspec.structs.replace(mesh.gateway, cache_bytes=400_000, limits=Limits())
        flooded.proxy.apply(msgspec.structs.replace(mesh, gateway=gateway))
        theirs = answer(FRESH, body=b"x" * 10_000)
        with flooded.proxy.connect("gateway") as client:
            client.send(request("/first"))
            wire, _ = flooded.app.serve(theirs)
            client.read_response()
            for number in range(300):
                client.send(request(f"/{number}"))
                wire.read_request()
                wire.send(theirs)
                client.read_response()
            sample = flooded.proxy.sample()
            assert sample.cache is not None
            assert 300_000 < sample.cache.size <= 400_000
            assert sample.cache.answers + sample.cache.evicted == 301
            # The last ones are there, the first ones are not.
            client.send(request("/299"))
            assert (client.read_response().get("cache-status") or b"").startswith(b"meshctl; hit")
            client.send(request("/first"))
            wire.read_request()
            wire.send(theirs)
            client.read_response()
    finally:
        flooded.close()
