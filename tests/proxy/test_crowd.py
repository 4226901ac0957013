"""More clients than there may be, and no more files to open: who makes room, who waits, and who notices nothing."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from meshctl.model.mesh import Gateway, Mesh
from meshctl.model.policy import Ejection, Limits, Retry, UpstreamTimeouts
from meshctl.model.route import Match, Respond, Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.proxy import descriptors
from meshctl.proxy.crowd import AT_ONCE
from tests.conformance.refusals import is_refused
from tests.conformance.wire import Wire

from .answerer import Answerer
from .lone_proxy import LoneProxy

GET = b"GET / HTTP/1.1\r\nHost: own\r\n\r\n"
MOST = 100


@pytest.fixture
def answerer() -> Iterator[Answerer]:
    """A service's endpoint."""
    made = Answerer()
    yield made
    made.close()


@pytest.fixture
def gateway(tmp_path: Path, answerer: Answerer) -> Iterator[LoneProxy]:
    """A gateway for so many clients."""
    proxy = start(tmp_path, answerer, Limits(connections=MOST))
    yield proxy
    assert proxy.end() == []


def start(folder: Path, answerer: Answerer, limits: Limits) -> LoneProxy:
    """A gateway that answers some requests itself and sends others on."""
    version = Version("v1", (Endpoint("127.0.0.1", answerer.port),))
    service = Service("a", (version,), timeouts=UpstreamTimeouts(connect=60.0), ejection=Ejection(failures=2))
    routes = (
        Route("own", match=Match(hosts=("own",)), respond=Respond(body="own")),
        Route("sent", match=Match(hosts=("sent",)), service="a", retry=Retry(0)),
    )
    mesh = Mesh(
        name="shop", trust_domain="shop.mesh", gateway=Gateway(admin="off", limits=limits), services=(service,),
        routes=routes,
    )  # fmt: skip
    return LoneProxy(folder, mesh, "gateway")


def ask(client: Wire) -> bytes:
    """The body of the proxy's own answer."""
    client.send(GET)
    return client.read_response().body


def until_admitted(gateway: LoneProxy) -> Wire:
    """A client that was let in, although there are as many as there may be."""
    while True:
        client = gateway.connect("gateway")
        client.send(GET)
        answer = client.read_response()
        if answer.status == 200:
            return client
        assert answer.get("x-meshctl-reason") == b"overloaded"
        client.close()


def test_those_at_rest_make_room(gateway: LoneProxy) -> None:
    """Where as many clients as there may be do nothing, or never end their heads, those who speak are served all the
    same; who has rested for longest goes first, and those who have a request under way or asked of late stay."""
    with ExitStack() as stack:
        silent = [stack.enter_context(gateway.connect("gateway")) for _ in range(MOST - 1)]
        for each in silent[::2]:
            each.send(b"GET / HTTP/1.1\r\n")
        last = stack.enter_context(gateway.connect("gateway"))
        for _ in range(AT_ONCE + 5):
            assert ask(last) == b"own"
            stack.enter_context(until_admitted(gateway))
        assert silent[0].read_rest() == b""
        assert ask(last) == b"own"
        gateway.until(lambda: gateway.sample().connections <= MOST)
        assert any(notice.event == "connections_full" for notice in gateway.notices)


def test_those_who_are_served_do_not(gateway: LoneProxy, answerer: Answerer) -> None:
    """Who waits for an answer keeps the place, however long that takes; others are told that there is none."""
    answerer.hold()
    with ExitStack() as stack:
        busy = [stack.enter_context(gateway.connect("gateway")) for _ in range(MOST)]
        for each in busy:
            each.send(b"GET / HTTP/1.1\r\nHost: sent\r\n\r\n")
        gateway.until(lambda: gateway.sample().in_flight == MOST)
        for _ in range(3):
            with gateway.connect("gateway") as more:
                is_refused(more, 503, "overloaded")
        answerer.release()
        assert [each.read_response().body for each in busy] == [b"ok"] * MOST
    gateway.until(lambda: gateway.sample().connections == 0)


def limit_files(gateway: LoneProxy, soft: int) -> None:
    """Let the worker have so many files from now on."""
    pid = gateway.process.pid
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))


def test_no_files_left(gateway: LoneProxy) -> None:
    """Without files a proxy accepts nobody, says so once and does nothing else about it; who is there is served, and
    who came meanwhile is once there are files again."""
    pid = gateway.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
    with gateway.connect("gateway") as client:
        assert ask(client) == b"own"
        limit_files(gateway, 3)
        while not any(notice.event == "accept_failed" for notice in gateway.notices):
            gateway.sample()
        with gateway.connect("gateway") as waiting:
            waiting.send(GET)
            assert [ask(client) for _ in range(20)] == [b"own"] * 20
            used = cpu(pid)
            # As long as a few looks for files.
            threading.Event().wait(1.2)
            assert waiting.is_silent()
            assert cpu(pid) - used < 0.4
            limit_files(gateway, before)
            assert waiting.read_response().body == b"own"
        with gateway.connect("gateway") as after:
            assert ask(after) == b"own"
    told = [notice.fields["reason"] for notice in gateway.notices if notice.event == "accept_failed"]
    assert told == ["EMFILE"]


def test_end_without_files(tmp_path: Path, answerer: Answerer) -> None:
    """A proxy that may open no more files ends as it should."""
    proxy = start(tmp_path, answerer, Limits())
    with proxy.connect("gateway") as client:
        assert ask(client) == b"own"
        limit_files(proxy, 3)
    assert proxy.end() == []
    assert proxy.process.returncode == 0


def test_no_files_for_an_endpoint(gateway: LoneProxy, answerer: Answerer) -> None:
    """A connection for which there is no file is nobody's failure but the proxy's: 503, and the endpoint is blamed for
    nothing."""
    before = resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE)[0]
    with gateway.connect("gateway") as client:
        assert ask(client) == b"own"
        limit_files(gateway, 3)
        for _ in range(5):
            client.send(b"GET / HTTP/1.1\r\nHost: sent\r\n\r\n")
            answer = client.read_response()
            assert (answer.status, answer.get("x-meshctl-reason")) == (503, b"overloaded")
        limit_files(gateway, before)
        client.send(b"GET / HTTP/1.1\r\nHost: sent\r\n\r\n")
        assert client.read_response().body == b"ok"
    (service,) = gateway.sample().services
    assert (service.ejections, service.connects) == (0, {"exhausted": 5, "ok": 1})


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def test_files_are_raised_to_what_is_needed(gateway: LoneProxy) -> None:
    """A worker that may have few files for want of a better setting gives itself as many as its clients need."""
    limit_files(gateway, 64)
    mesh = msgspec.structs.replace(gateway.mesh, gateway=Gateway(admin="off", limits=Limits(connections=1000)))
    gateway.apply(mesh)
    assert resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE)[0] >= descriptors.needed(1000)
    assert not any(notice.event == "files_short" for notice in gateway.notices)


def test_clients_fit_the_files(tmp_path: Path, answerer: Answerer) -> None:
    """Where it may not have that many it says for how many clients they are enough, and takes no more."""
    proxy = start(tmp_path, answerer, Limits(connections=10))
    try:
        resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (250, 250))
        mesh = msgspec.structs.replace(proxy.mesh, gateway=Gateway(admin="off", limits=Limits(connections=5000)))
        proxy.apply(mesh)
        told = [notice.fields for notice in proxy.notices if notice.event == "files_short"]
        assert told == [{"limit": "250", "connections": "100", "wanted": "5000"}]
        with ExitStack() as stack:
            for _ in range(100):
                assert ask(stack.enter_context(proxy.connect("gateway"))) == b"own"
            for _ in range(10):
                stack.enter_context(until_admitted(proxy))
            proxy.until(lambda: proxy.sample().connections <= 100)
    finally:
        assert proxy.end() == []
