"""Services that end, reset or stall at every byte of an answer: a client sees it whole, a refusal, or a part of it that
is broken off, never a wrong one; nothing is asked twice that may not be, and nothing stays behind."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final, NamedTuple

import pytest

from meshctl.model.caching import Caching
from meshctl.model.passing import Compression, JsonEdits
from meshctl.model.policy import Ejection, Limit, Retry, UpstreamTimeouts
from meshctl.model.route import Match, PathMatch, Route
from meshctl.model.service import Service, Version
from tests.conformance.wire import EndedEarly, Message, Wire

from .breaking_service import ANSWERS, DATA, BreakingService, head_size
from .leftovers import no_files_left, nothing_left, own_files
from .lone_proxy import LoneProxy, mesh_of

EDITS: Final = JsonEdits(set=(("$.b", '"c"'),), limit=10_000)
EDITED: Final = DATA[:-1] + b',"b":"c"}'


class Seen(NamedTuple):
    """What became of a request: its status, the body and whether that was whole."""

    status: int
    body: bytes
    is_whole: bool


class Stage:
    """A service and a proxy in front of it that does much with its answers."""

    def __init__(self, folder: object) -> None:
        self.service = BreakingService()
        version = Version("v1", (self.service.endpoint,))
        settings = {"ejection": Ejection(enabled=False), "limit": Limit(requests=600, queue=0)}
        patient = Service("patient", (version,), timeouts=UpstreamTimeouts(), **settings)
        hasty = Service("hasty", (version,), timeouts=UpstreamTimeouts(response=4.0, stream=1.0), **settings)
        routes = (
            self._route("plain", retry=Retry(0)),
            self._route("hasty", retry=Retry(0)),
            self._route("retried", retry=Retry(1)),
            self._route("cached", retry=Retry(0), cache=Caching(default=300.0, vary=("x-vary",))),
            self._route("edited", retry=Retry(0), response_body=EDITS),
            self._route("packed", retry=Retry(0), compression=Compression(codings=("gzip",), minimum=1)),
        )
        mesh = mesh_of(patient, hasty, routes=routes)
        self.proxy = LoneProxy(folder, mesh, "gateway")  # type: ignore[arg-type]
        assert self.see("plain", "length").body == DATA
        nothing_left(self.proxy)
        self.files = own_files(self.proxy)

    def _route(self, name: str, **settings: object) -> Route:
        where = Match(path=PathMatch("prefix", f"/{name}"))
        return Route(name, where, service="hasty" if name == "hasty" else "patient", **settings)  # type: ignore[arg-type]

    def ask(self, client: Wire, route: str, kind: str, told: str = "", *, method: str = "GET", more: str = "") -> None:
        """Send a request."""
        lines = f"X-Break: {told}\r\n" if told else ""
        if route == "packed":
            lines += "Accept-Encoding: gzip\r\n"
        if method == "POST":
            lines += "Content-Length: 0\r\n"
        client.send(f"{method} /{route}/{kind} HTTP/1.1\r\nHost: x\r\n{lines}{more}\r\n".encode())

    def see(self, route: str, kind: str, told: str = "", *, method: str = "GET", more: str = "") -> Seen:
        """Ask over a connection of its own."""
        with self.proxy.connect("gateway") as client:
            self.ask(client, route, kind, told, method=method, more=more)
            return seen(client)

    def is_clean(self) -> None:
        """Wait until nothing is held."""
        nothing_left(self.proxy)
        self.service.leave()
        no_files_left(self.proxy, self.files)

    def close(self) -> None:
        """End it."""
        try:
            assert self.proxy.end() == []
        finally:
            self.service.close()


def seen(client: Wire) -> Seen:
    """What a client reads, by the strict reader."""
    try:
        head = client.read_head()
        while head.status < 200:
            head = client.read_head()
    except (EndedEarly, ConnectionResetError):
        return Seen(0, b"", is_whole=False)
    try:
        return Seen(head.status, _body(client, head), is_whole=True)
    except (EndedEarly, ConnectionResetError):
        return Seen(head.status, _pieces(head, client.read_rest()), is_whole=False)


def _body(client: Wire, head: Message) -> bytes:
    """The whole body. What was read stays where it is until it is."""
    before = client.buffer
    kept = bytearray(before)
    receive = client._more

    def more() -> bool:
        size = len(client.buffer)
        found = receive()
        kept.extend(client.buffer[size:])
        return found

    client._more = more  # type: ignore[method-assign]
    try:
        return client._with_body(head, otherwise="close").body
    except (EndedEarly, ConnectionResetError):
        client.buffer = bytes(kept)
        raise


def _pieces(head: Message, raw: bytes) -> bytes:
    """What came of a body that was broken off."""
    if head.get("transfer-encoding") is None:
        return raw
    found = b""
    while raw:
        size, end, raw = raw.partition(b"\r\n")
        if not end or not int(size, 16):
            break
        found += raw[: int(size, 16)]
        raw = raw[int(size, 16) + 2 :]
    return found


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The stage that these tests share."""
    made = Stage(tmp_path_factory.mktemp("stage"))
    yield made
    made.close()


def holds(found: Seen, kind: str, how: str, at: int) -> bool:
    """Whether what a client has seen is what came of an answer that broke there, or less, and is known to be less."""
    whole = ANSWERS[kind]
    if at < head_size(kind):
        return found.is_whole and found.status in {502, 504}
    if found.is_whole and found.status == 200:
        # What ends with its connection is whole wherever that ends in order.
        if kind == "close":
            return how == "end" and found.body == whole[head_size(kind) : at]
        return at == len(whole) and found.body == DATA
    return (found.status in {0, 502} or DATA.startswith(found.body)) and (
        kind == "close" or at < len(whole) or how == "reset"
    )


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("kind", ANSWERS)
def test_answer_that_breaks_anywhere(stage: Stage, kind: str, how: str) -> None:
    """Wherever the connection of an answer ends or is reset, its client has the whole, or knows that it has not."""
    wrong = []
    # A reset may take with it what came before it, so that places next to each other look alike.
    for at in range(0, len(ANSWERS[kind]) + 1, 1 if how == "end" else 4):
        found = stage.see("plain", kind, f"{how} {at}")
        if not holds(found, kind, how, at):
            wrong.append((at, found))
    assert wrong == []
    stage.is_clean()


@pytest.mark.parametrize("kind", ANSWERS)
def test_answer_that_stalls_anywhere(stage: Stage, kind: str) -> None:
    """The same where nothing more comes: each is given up after its time, all of them side by side."""
    wrong = []
    places = range(0, len(ANSWERS[kind]) + 1, 2)
    with ExitStack() as stack:
        clients = [stack.enter_context(stage.proxy.connect("gateway")) for _ in places]
        for at, client in zip(places, clients, strict=True):
            stage.ask(client, "hasty", kind, f"stall {at}")
        for at, client in zip(places, clients, strict=True):
            found = seen(client)
            if not holds(found, kind, "stall", at):
                wrong.append((at, found))
    assert wrong == []
    stage.is_clean()


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("kind", ["length", "hints"])
def test_retries_of_answers_that_break(stage: Stage, kind: str, how: str) -> None:
    """Before the head of its answer is there, a request that may be done twice is asked for once more, and its client
    notices nothing; later, and for any other request, it is asked for once."""
    wrong = []
    for at in range(0, len(ANSWERS[kind]), 9):
        for method in ("GET", "POST"):
            name = f"{kind}-{how}-{at}-{method}"
            found = stage.see("retried", kind, f"{how} {at}", method=method, more=f"X-Request-Id: {name}\r\n")
            may = method == "GET" and at < head_size(kind)
            expected = found == Seen(200, DATA, is_whole=True) if may else holds(found, kind, how, at)
            if not expected or stage.service.tries[name.encode()] != 1 + may:
                wrong.append((at, method, found, stage.service.tries[name.encode()]))
    assert wrong == []
    stage.is_clean()


@pytest.mark.parametrize("kind", ["length", "chunked"])
def test_nothing_broken_is_kept(stage: Stage, kind: str) -> None:
    """An answer that broke is not kept: who asks again gets the whole one, and so does whoever asks then."""
    for at in range(0, len(ANSWERS[kind]), 9):
        where = f"cached/{kind}-{at}"
        more = f"X-Vary: {at}\r\n"
        first = stage.see("cached", kind, f"end {at}", more=more)
        assert holds(first, kind, "end", at), (where, first)
        assert [stage.see("cached", kind, more=more) for _ in range(2)] == [Seen(200, DATA, is_whole=True)] * 2
    stage.is_clean()
    assert stage.proxy.sample().cache is not None


@pytest.mark.parametrize("kind", ["length", "chunked", "close"])
def test_nothing_broken_is_edited(stage: Stage, kind: str) -> None:
    """Of a body that is edited nobody sees a part: it comes whole, or not at all."""
    for at in (*range(0, len(ANSWERS[kind]), 7), len(ANSWERS[kind])):
        found = stage.see("edited", kind, f"reset {at}")
        is_all = at == len(ANSWERS[kind]) and kind != "close"
        assert found == Seen(200, EDITED, is_whole=True) if is_all and found.is_whole else found.status in {0, 502}, at
    stage.is_clean()


@pytest.mark.parametrize("kind", ["length", "chunked"])
def test_broken_answers_compressed(stage: Stage, kind: str) -> None:
    """What is compressed on its way is whole, or does not end."""
    for at in (*range(head_size(kind), len(ANSWERS[kind]), 5), len(ANSWERS[kind])):
        found = stage.see("packed", kind, f"end {at}")
        if at == len(ANSWERS[kind]):
            # So little of it that came at once is not worth the while.
            assert found.is_whole
            assert DATA in (
                found.body,
                zlib.decompressobj(wbits=47).decompress(found.body) if found.body[:1] == b"\x1f" else b"",
            )
        else:
            assert not found.is_whole, at
            assert DATA.startswith(zlib.decompressobj(wbits=31).decompress(found.body))
    stage.is_clean()
