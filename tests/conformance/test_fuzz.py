"""Whatever a client sends, damaged in any way, the service only ever sees requests that any server reads alike, and
whatever a service sends, the client only ever sees answers of that kind or broken-off ones."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .conftest import Start, routes
from .running import Gateway
from .upstream import OK, Upstream
from .wire import EndedEarly, Wire

SEEDS = [
    b"GET /a?b=c HTTP/1.1\r\nHost: HOST\r\nAccept: */*\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /a HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
    b"GET /1 HTTP/1.1\r\nHost: HOST\r\n\r\nPOST /2 HTTP/1.1\r\nHost: HOST\r\nContent-Length: 2\r\n\r\nhi",
    b"GET / HTTP/1.1\r\nHost: HOST\r\nConnection: keep-alive, X-A\r\nX-A: 1\r\nX-Forwarded-For: 1\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: HOST\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
    b"GET http://HOST/x HTTP/1.1\r\nHost: HOST\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: HOST\r\nConnection: keep-alive\r\n\r\n",
]
ANSWERS = [
    OK,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nConnection: X-A\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
]
BITS = [
    b"", b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\0", b"0", b"5", b",", b";", b"\xff", b"a",
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"chunked", b"identity",
    b"\r\n\r\n", b"0\r\n\r\n", b"GET /x HTTP/1.1\r\nHost: HOST\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nx",
    b"Connection: close\r\n", b"Host: b\r\n", b"HTTP/1.0",
]  # fmt: skip
BUSY = settings(
    max_examples=150,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def damaged(draw: st.DrawFn, seeds: list[bytes]) -> list[bytes]:
    """A message with some bytes replaced, in one to three pieces."""
    raw = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, 4))] = draw(st.sampled_from(BITS))
    cuts = sorted(draw(st.sets(st.integers(0, len(raw)), max_size=2)))
    return [bytes(raw[start:end]) for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]


class Answering:
    """A service that reads strictly, gives one answer to everything, and notes what it could not read."""

    def __init__(self, upstream: Upstream) -> None:
        self._answer = [OK]
        self._closes = False
        self.faults: list[str] = []
        self._upstream = upstream
        self._thread = threading.Thread(target=self._accept)
        self._serving: list[threading.Thread] = []
        self._thread.start()

    def reply(self, pieces: list[bytes], *, closes: bool) -> None:
        """Answer from now on with `pieces`, and close after that or not."""
        self._answer, self._closes = pieces, closes

    def stop(self) -> None:
        """Accept no more and wait until all is read."""
        self._upstream.listener.shutdown(2)
        self._thread.join()
        for each in self._serving:
            each.join()

    def _accept(self) -> None:
        while True:
            try:
                wire = self._upstream.accept()
            except OSError:
                return
            serving = threading.Thread(target=self._serve, args=(wire,))
            self._serving.append(serving)
            serving.start()

    def _serve(self, wire: Wire) -> None:
        with wire:
            try:
                while True:
                    request = wire.read_request()
                    assert request.get("connection") in {None, b"Upgrade"}
                    assert not request.names & {b"keep-alive", b"te", b"proxy-connection"}
                    wire.send(*self._answer)
                    if self._closes:
                        return
            except EndedEarly:
                pass  # The client left, or was refused in the middle.
            except OSError:
                pass
            except AssertionError as fault:
                self.faults.append(str(fault))


@pytest.fixture(scope="module")
def answering(start: Start) -> Iterator[tuple[Gateway, Answering]]:
    """A gateway before such a service, which must have read everything it got."""
    service = Upstream("z")
    running = start('[gateway]\nadmin = "off"\naccess_log = "off"\n' + routes(service))
    answers = Answering(service)
    yield running, answers
    running.end()
    answers.stop()
    assert answers.faults == []
    service.listener.close()


@BUSY
@given(pieces=damaged(SEEDS))
def test_damaged_requests(answering: tuple[Gateway, Answering], pieces: list[bytes]) -> None:
    """Damaged requests are read in one way or refused, and the gateway goes on."""
    gateway, answers = answering
    answers.reply([OK], closes=False)
    with gateway.connect() as client:
        client.send(b"GET /before HTTP/1.1\r\nHost: z.test\r\nAccept: */*\r\n\r\n")
        assert client.read_response().body == b"ok"
        with contextlib.suppress(OSError):
            client.send(*(piece.replace(b"HOST", b"z.test") for piece in pieces))
            client.half_close()
        client.read_rest()
    assert answers.faults == []
    with gateway.connect() as client:
        client.send(b"GET /after HTTP/1.1\r\nHost: z.test\r\n\r\n")
        assert client.read_response().body == b"ok"


@BUSY
@given(pieces=damaged(ANSWERS))
def test_damaged_answers(answering: tuple[Gateway, Answering], pieces: list[bytes]) -> None:
    """Damaged answers are passed on in one way, refused, or broken off."""
    gateway, answers = answering
    answers.reply(pieces, closes=True)
    with gateway.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: z.test\r\n\r\n")
        with contextlib.suppress(EndedEarly, ConnectionError):
            answer = client.read_response()
            while answer.status < 200:
                answer = client.read_response()
            assert answer.status != 502 or answer.get("x-meshctl-reason")
            assert client.is_silent()
