"""The data plane without a network: a worker of its own whose clients and endpoints are in memory, so that thousands of
conversations a second can be had with it, each of them judged by parsers that are not its own.

An endpoint is played by h11, which answers each request with what it understood. What went over the wire in either
direction is read once more by the strict reader of the conformance tests.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast
from zlib import crc32

import h11

from meshctl.model.mesh import encode
from meshctl.proxy.assembling import PartRequest
from meshctl.proxy.connect import Outbound
from meshctl.proxy.downstream import Downstream
from meshctl.proxy.listener import LiveListener
from meshctl.proxy.messages import Channel, Commit, ListenerSpec, Prepare
from meshctl.proxy.worker import Worker
from tests.config.reading import read
from tests.conformance.wire import EndedEarly, Message, Wire

CONFIG = """
[gateway]
access_log = "off"
admin = "off"
[[routes]]
name = "plain"
hosts = ["a.test"]
service = "s"
retry = { attempts = 0 }
[[routes]]
name = "edited"
hosts = ["e.test"]
service = "s"
retry = { attempts = 1 }
compression = true
request_body = { remove = ["$.secret"], limit = "1KiB" }
response_body = { remove = ["$.secret"], limit = "1KiB" }
[[routes]]
name = "cached"
hosts = ["c.test"]
service = "s"
cache = true
[[routes]]
name = "limited"
hosts = ["l.test"]
service = "s"
body_bytes = "16B"
response_bytes = "16B"
[[routes]]
name = "parts"
hosts = ["p.test"]
path = "/{id}"
[[routes.parts]]
name = "one"
service = "s"
path = "/one/{path.id}"
[[routes.parts]]
name = "two"
service = "s"
path = "/two"
need = "optional"
[services.s]
endpoints = ["127.0.0.1:9"]
ejection = false
"""


class End(asyncio.Transport):
    """One end of a connection in memory: keeps what the proxy writes, and gives it what the other end says."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol) -> None:
        super().__init__({"peername": ("192.0.2.1", 4711), "sockname": ("192.0.2.2", 80)})
        self._loop = loop
        self.protocol = protocol
        self.written = bytearray()
        self.heard: Callable[[], None] = lambda: None
        """Called when the proxy has written something."""
        self.is_cut = False
        self._closing = self._paused = self._is_lost = self._has_ended = False
        self._waiting: list[bytes] = []

    def say(self, data: bytes) -> None:
        """The other end sends `data`."""
        self._waiting.append(data)
        self._loop.call_soon(self._deliver)

    def leave(self) -> None:
        """The other end closes."""
        self._loop.call_soon(self._lose)

    def _deliver(self) -> None:
        while self._waiting and not self._paused and not self._closing:
            self.protocol.data_received(self._waiting.pop(0))

    def _lose(self) -> None:
        if not self._is_lost:
            self._closing = self._is_lost = True
            self.protocol.connection_lost(None)

    # what the proxy calls

    def write(self, data: Any) -> None:
        if self._has_ended:
            # As uvloop has it.
            raise RuntimeError("Cannot call write() after write_eof()")
        if not self._is_lost:
            self.written += data
            self._loop.call_soon(self.heard)

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._has_ended = True

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._lose)

    def abort(self) -> None:
        self.is_cut = True
        self.close()

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._loop.call_soon(self._deliver)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol


class Loop(asyncio.SelectorEventLoop):
    """A loop on which every connection is one in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[End] = []
        self.play: Callable[[End], None] = lambda end: None
        """What stands at the other end of each."""

    async def create_connection(self, protocol_factory: Any, *_: Any, **__: Any) -> Any:
        protocol = protocol_factory()
        end = End(self, protocol)
        self.opened.append(end)
        self.play(end)
        protocol.connection_made(end)
        return end, protocol

    def settle(self) -> None:
        """Run until nothing more is to be done now."""
        for _ in range(1000):
            self.call_soon(self.stop)
            self.run_forever()
            if not self._ready:  # type: ignore[attr-defined]
                return
        raise AssertionError("the proxy does not come to rest")


class Note(NamedTuple):
    """An exchange that has ended, or a refusal of what was no request, which has no method."""

    method: str
    host: str
    target: str
    reason: str
    received: int


class Noting:
    """The worker's ledger, and what it was told of exchanges, in order."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.seen: list[Note] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def record(self, exchange: Any, now: float) -> None:
        """As the ledger's."""
        self._ledger.record(exchange, now)
        request = exchange.request
        if isinstance(request, PartRequest):
            # Its client has not asked for it.
            return
        query = "" if request.query_string is None else f"?{request.query_string}"
        self.seen.append(Note(request.method, request.host, exchange.path + query, exchange.reason, exchange.received))

    def record_refusal(self, *words: Any, **more: Any) -> None:
        """As the ledger's."""
        self.seen.append(Note("", "", "", words[1], 0))
        self._ledger.record_refusal(*words, **more)


class Plane:
    """A worker that serves `CONFIG`."""

    def __init__(self, *, outbound: bool = False) -> None:
        self.loop = Loop()
        self.faults: list[str] = []
        self._clients: list[End] = []
        self.loop.set_exception_handler(self._on_fault)
        ours, theirs = socket.socketpair()
        self.worker = Worker(self.loop, Channel(theirs), 0, 1)
        self._supervisor = Channel(ours)
        mesh = read(CONFIG).mesh
        self._supervisor.send(Prepare(1, 1, encode(mesh), ()))
        self._supervisor.send(Commit(1))
        for _ in range(3):
            self.loop.settle()
        self.notes = self.worker.ledger = Noting(self.worker.ledger)  # type: ignore[assignment]
        self.is_outbound = outbound
        self._make = Outbound if outbound else Downstream
        self._listener = LiveListener(self.worker, ListenerSpec("x", "127.0.0.1:1"), cast(socket.socket, None))

    def __repr__(self) -> str:
        return f"<Plane {self.worker!r}>"

    def _on_fault(self, _: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.faults.append(f"{context.get('message')}: {error!r}")
        if error is not None:
            raise error

    def begin(self, play: Callable[[End], None]) -> None:
        """Forget all connections; `play` stands at the other end of those to come."""
        for each in (*self.loop.opened, *self._clients):
            each.leave()
        self.loop.settle()
        self.loop.opened.clear()
        self._clients.clear()
        self.faults.clear()
        self.loop.play = play
        self.worker.caching = None
        self.notes.seen.clear()

    def client(self) -> End:
        """A client's connection."""
        protocol = self._make(self.worker, self._listener)
        end = End(self.loop, protocol)
        self._clients.append(end)
        protocol.connection_made(end)
        return end

    def judge(self) -> None:
        """Nothing is left of what was, once everybody has gone."""
        worker = self.worker
        assert self.faults == [], self.faults
        assert worker.counters.in_flight == 0
        assert worker.counters.connections == 0
        assert not worker.exchanges and not worker.tunnels and not worker.clients


class Echo:
    """An endpoint that reads with h11, and answers with what it read."""

    def __init__(self, end: End, seen: list[tuple[bytes, bytes, bytes]], style: int) -> None:
        self._end = end
        self._at = len(end.written)
        self._seen = seen
        self._style = style
        self._http = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body = bytearray()
        end.heard = self._hear

    def _hear(self) -> None:
        data = bytes(self._end.written[self._at :])
        self._at += len(data)
        if data:
            self._http.receive_data(data)
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._request = event
                self._body.clear()
                if self._http.they_are_waiting_for_100_continue:
                    self._say(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
            elif isinstance(event, h11.Data):
                self._body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self._answer()
            else:
                return

    def _answer(self) -> None:
        request, body = self._request, bytes(self._body)
        assert request is not None
        self._seen.append((request.method, request.target, body))
        said = b'{"seen":"%b"}' % mark(request.method, request.target, body).encode()
        headers = [(b"X-Seen", mark(request.method, request.target, body).encode())]
        status = 200
        if self._style % 4 == 1:
            headers += [(b"Transfer-Encoding", b"chunked"), (b"Content-Type", b"application/json")]
        elif self._style % 4 == 2 and len(self._seen) % 2:
            status, said = 204, b""
        else:
            headers += [(b"Content-Length", b"%d" % len(said)), (b"Content-Type", b"text/plain")]
        if self._style % 8 > 4:
            headers.append((b"Cache-Control", b"max-age=100"))
        self._say(h11.Response(status_code=status, headers=headers, reason=b"Said"))
        if said and request.method != b"HEAD":
            self._say(h11.Data(data=said))
        self._say(h11.EndOfMessage())
        if self._http.our_state is h11.MUST_CLOSE or self._http.their_state is h11.MUST_CLOSE:
            self._end.leave()
        else:
            self._http.start_next_cycle()

    def _say(self, event: Any) -> None:
        if data := self._http.send(event):
            self._end.say(data)


def mark(method: bytes, target: bytes, body: bytes) -> str:
    """What tells a request from others, in a word that a field can hold."""
    return f"{method.decode()}-{crc32(target):08x}-{len(body)}-{crc32(body):08x}"


_END_TO_END = {"b'content-type' came twice", "b'date' came twice"}
"""What the strict reader asks of clients and services: a proxy passes it on as it came."""


class Recorded:
    """What went over a connection, as a socket that ends behind it."""

    family = socket.AF_UNIX

    def __init__(self, data: bytes) -> None:
        self._data = data

    def settimeout(self, _: float) -> None:
        """It never waits."""

    def recv(self, _: int) -> bytes:
        """All of it, and then its end."""
        data, self._data = self._data, b""
        return data


def requests_in(data: bytes) -> tuple[list[Message], bool]:
    """The requests in what went to an endpoint, and whether there is nothing behind the last."""
    wire, found = Wire(cast(socket.socket, Recorded(data))), []
    while True:
        if not wire.buffer and not wire._more():
            return found, True
        try:
            found.append(wire.read_request())
        except EndedEarly:
            return found, False
        except AssertionError as fault:
            if str(fault) not in _END_TO_END:
                raise
            return found, True


def answers_in(data: bytes, methods: Iterable[str]) -> tuple[list[Message], bytes]:
    """The final answers to requests of these methods in what went to a client, and what is behind them: b"" or the
    bytes of one that was broken off."""
    wire, found = Wire(cast(socket.socket, Recorded(data))), []
    wire._more()
    for method in methods:
        if not wire.buffer:
            break
        before = wire.buffer
        try:
            answer = wire.read_response(method=method)
            while answer.status < 200 and answer.status != 101:
                answer = wire.read_response(method=method)
        except EndedEarly:
            return found, before
        except AssertionError as fault:
            if str(fault) not in _END_TO_END | {"b'host' came twice"}:
                raise
            return found, b""
        found.append(answer)
        if answer.framing == "close" or answer.status == 101:
            return found, b""
    return found, wire.buffer
