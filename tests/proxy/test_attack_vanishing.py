"""Clients that vanish at every stage of what they asked for: nothing is held for them any more, and whoever comes next
finds everything as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Final, NamedTuple

import pytest

from meshctl.model.caching import Caching
from meshctl.model.part import Part
from meshctl.model.passing import Compression, JsonEdits
from meshctl.model.policy import Breaker, Ejection, Limit, Retry, UpstreamTimeouts
from meshctl.model.route import Match, PathMatch, Route
from meshctl.model.service import Service, Version
from tests.conformance.wire import Wire

from .breaking_service import DATA, BreakingService, head_size
from .leftovers import held, no_files_left, nothing_left, own_files
from .lone_proxy import LoneProxy, mesh_of

STALL: Final = "X-Break: stall 0\r\n"
MIDWAY: Final = f"X-Break: stall {head_size('length') + 5}\r\n"
CHUNKS: Final = f"X-Break: stall {head_size('chunked') + 15}\r\n"
JSON: Final = "Content-Type: application/json\r\n"


class Stage(NamedTuple):
    """What a client has sent when it vanishes."""

    sent: str
    requests: int = 1
    """Of its own, that the proxy has then."""
    tries: int = 0
    """How many of them the service has seen."""
    reads: bool = False
    """Whether a part of the answer has come."""
    before: str = ""
    """What somebody else has asked before, who stays."""


def ask(route: str, more: str = "", method: str = "GET", body: str = "") -> str:
    """A request."""
    return f"{method} /{route} HTTP/1.1\r\nHost: x\r\n{more}\r\n{body}"


STAGES: Final = {
    "silent": Stage("", 0),
    "half a head": Stage("GET /plain HTTP/1.1\r\nHos", 0),
    "half a body": Stage(ask("plain/length", f"{STALL}Content-Length: 100\r\n", "POST", "abc"), tries=1),
    "half a chunk": Stage(ask("plain/length", f"{STALL}Transfer-Encoding: chunked\r\n", "POST", "a\r\nabc"), tries=1),
    "half a body to be edited": Stage(ask("edited/length", f"{JSON}Content-Length: 100\r\n", "POST", '{"a"')),
    "no answer": Stage(ask("plain/length", STALL), tries=1),
    "half an answer": Stage(ask("plain/length", MIDWAY), tries=1, reads=True),
    "half an answer in chunks": Stage(ask("plain/chunked", CHUNKS), tries=1, reads=True),
    "half an answer to be edited": Stage(ask("edited/length", MIDWAY), tries=1),
    "half an answer to be compressed": Stage(ask("packed/length", f"Accept-Encoding: gzip\r\n{MIDWAY}"), tries=1),
    "half an answer to be kept": Stage(ask("cached/length", f"X-Vary: half\r\n{MIDWAY}"), tries=1, reads=True),
    "a slow answer": Stage(ask("slow/length"), tries=1, reads=True),
    "a pipeline": Stage(5 * ask("plain/length", STALL), 5, tries=1),
    "in line": Stage(ask("limited/length"), before=ask("limited/length", STALL)),
    "with the only place": Stage(ask("limited/length", STALL), tries=1),
    "before a retry": Stage(ask("retried/busy"), tries=1),
    "in the second try": Stage(ask("retried/length", "X-Break: end 0, stall 0\r\n"), tries=2),
    "two parts": Stage(ask("parts/length", "X-Break: stall 0, stall 0\r\n"), 3, tries=2),
    "behind another": Stage(
        ask("cached/length", f"X-Vary: behind\r\n{STALL}"), before=ask("cached/length", f"X-Vary: behind\r\n{STALL}")
    ),
}
HOWS: Final[dict[str, Callable[[Wire], None]]] = {"end": Wire.close, "reset": Wire.reset, "half": Wire.half_close}


class Scene:
    """A proxy that does much, before a service that does as it is told."""

    def __init__(self, folder: object) -> None:
        self.service = BreakingService()
        version = Version("v1", (self.service.endpoint,))
        settings = {"ejection": Ejection(enabled=False), "timeouts": UpstreamTimeouts(response=300.0)}
        services = (
            Service("a", (version,), **settings),  # type: ignore[arg-type]
            Service("one", (version,), limit=Limit(requests=1, queue=10, wait=300.0), breaker=Breaker(), **settings),  # type: ignore[arg-type]
        )
        edits = JsonEdits(set=(("$.b", '"c"'),), limit=10_000)
        parts = (Part("p", "a", "/length", group="p", headers=("x-break",)),
                 Part("q", "one", "/length", group="q", headers=("x-break",)))  # fmt: skip
        routes = (
            _route("plain", retry=Retry(0)),
            _route("limited", service="one", retry=Retry(0)),
            _route("retried", retry=Retry(1, ("reset", "503"))),
            _route("cached", retry=Retry(0), cache=Caching(default=300.0, coalesce=300.0, vary=("x-vary",))),
            _route("edited", retry=Retry(0), request_body=edits, response_body=edits),
            _route("packed", retry=Retry(0), compression=Compression(codings=("gzip",), minimum=1)),
            _route("slow", retry=Retry(0), bandwidth=1),
            _route("parts", service=None, parts=parts),
        )
        self.proxy = LoneProxy(folder, mesh_of(*services, routes=routes), "gateway")  # type: ignore[arg-type]
        self.is_well()
        self.files = own_files(self.proxy)

    def is_well(self) -> None:
        """Everybody gets an answer on every route, and nothing is held for anybody."""
        nothing_left(self.proxy)
        with self.proxy.connect("gateway") as client:
            for route in ("plain", "limited", "retried", "cached", "edited", "packed", "parts"):
                client.send(ask(f"{route}/length").encode())
                answer = client.read_response()
                assert (answer.status, route == "parts" or answer.body.startswith(DATA[:-1])) == (200, True), route
        nothing_left(self.proxy)

    def close(self) -> None:
        """End it."""
        try:
            assert self.proxy.end() == []
        finally:
            self.service.close()


def _route(name: str, service: str | None = "a", **settings: object) -> Route:
    return Route(name, Match(path=PathMatch("prefix", f"/{name}")), service=service, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The one that these tests share."""
    made = Scene(tmp_path_factory.mktemp("scene"))
    yield made
    made.close()


def reach(scene: Scene, stack: ExitStack, stage: Stage) -> Wire:
    """A client at this stage."""
    proxy, service = scene.proxy, scene.service
    if stage.before:
        first = stack.enter_context(proxy.connect("gateway"))
        tried = service.tries.total()
        first.send(stage.before.encode())
        proxy.until(lambda: service.tries.total() == tried + 1)
    requests, tried = proxy.sample().in_flight, service.tries.total()
    client = stack.enter_context(proxy.connect("gateway"))
    client.send(stage.sent.encode())
    proxy.until(lambda: proxy.sample().in_flight == requests + stage.requests)
    proxy.until(lambda: service.tries.total() == tried + stage.tries)
    if stage.reads:
        client.read_head()
    return client


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("stage", STAGES)
def test_client_that_vanishes(scene: Scene, stage: str, how: str) -> None:
    """A client that ends, resets or half-closes its connection at this stage leaves nothing behind: no request, place,
    wait, connection or file, neither of its own nor of those who waited with it."""
    with ExitStack() as stack:
        client = reach(scene, stack, STAGES[stage])
        before = held(scene.proxy)
        HOWS[how](client)
        scene.proxy.until(lambda: held(scene.proxy).get("clients", 0) == before["clients"] - 1)
        if how == "half":
            client.read_rest()
    scene.is_well()


def test_leader_of_a_herd_that_vanishes(scene: Scene) -> None:
    """Where the one vanishes whose answer others wait for, they get theirs all the same."""
    with ExitStack() as stack:
        leader = reach(scene, stack, Stage(ask("cached/length", f"X-Vary: herd\r\n{STALL}"), tries=1))
        followers = [stack.enter_context(scene.proxy.connect("gateway")) for _ in range(10)]
        for each in followers:
            each.send(ask("cached/length", "X-Vary: herd\r\n").encode())
        scene.proxy.until(lambda: scene.proxy.sample().in_flight == 11)
        leader.reset()
        assert [each.read_response().body for each in followers] == [DATA] * 10
    scene.is_well()


def test_crowd_that_vanishes(scene: Scene) -> None:
    """Hundreds that vanish at once, each at another stage, leave nothing behind either."""
    with ExitStack() as stack:
        sent = [each.sent for each in STAGES.values()] * 8
        clients = [stack.enter_context(scene.proxy.connect("gateway")) for _ in sent]
        for client, each in zip(clients, sent, strict=True):
            client.send(each.encode())
        scene.proxy.until(lambda: scene.proxy.sample().in_flight > len(sent) // 2)
        for number, each in enumerate(clients):
            tuple(HOWS.values())[number % 3](each)
    scene.is_well()
    scene.service.leave()
    no_files_left(scene.proxy, scene.files)
