"""The bodies of a client's requests: passed on, counted instead of parsed where they are long, or thrown away where
nobody wants them any more; where a request that asks for another protocol ends; and how much is read of many requests
that come at once before others have their turn.

`downstream` builds on this and decides whose turn it is; here only the request that is coming in matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.proxy.client import Client
from meshctl.proxy.timers import NEVER
from meshctl.wire.fields import Fields
from meshctl.wire.message import Malformed, Request

if TYPE_CHECKING:
    from meshctl.proxy.dressing import Dressed
    from meshctl.proxy.known import Known
    from meshctl.proxy.stream import Inlet
    from meshctl.proxy.worker import Worker

RAW_FROM: Final = 16_384
"""Bytes still to come from which a request body is counted instead of parsed."""
SHARE: Final = 1_024
"""Bytes of requests that are read before others have their turn: at most a few dozen of them. One read can bring ten
thousand, which would take a second to serve, and as many exchanges to remember."""
BODY_SHARE: Final = 16_384
"""The same of a body that tells its end: it is read on at once unless requests follow it."""
MANY: Final = 16
"""Requests in such a piece after which its connection gets no more of them."""
DISCARD_LIMIT: Final = 1_048_576
"""Bytes of a body nobody wants that are still read, so that the client can read its answer and go on."""

TLS: Final = b"\x16\x03"
"""How TLS begins, in whatever version (RFC 8446 §5.1)."""
IN_TLS: Final = Malformed("http_required", "this port takes plain HTTP: call it by http://")


class Incoming(Client):
    """See the module."""

    known: Known | None = None
    dressed: Dressed | None = None
    _is_mixed = False
    """Whether many requests came behind a body that tells its end."""

    def __init__(self, worker: Worker, listener: Inlet) -> None:
        super().__init__(worker, listener)
        self._is_begun = False
        """Whether the full reader is within a message."""

    # httptools calls these

    def on_body(self, data: bytes) -> None:
        self._head_bytes = 0
        self._body += len(data)
        self._pass_body(data)

    def on_message_complete(self) -> None:
        self._is_begun = False
        request = self._receiving
        if request is None:
            return
        trailers = self.take_trailers()
        # llhttp ends an upgrade request with its head: one that may pass is over with its answer, one with a body is
        # not over.
        if b"upgrade" not in request.special or not self.stops_at_upgrade(request):
            self._end_request(trailers)

    # what `downstream` adds

    def _next(self) -> None:
        """The connection is ready for its next request."""
        raise NotImplementedError  # pragma: no cover - an interface

    def _on_malformed(self, error: Malformed) -> None:
        """The client broke the protocol."""
        raise NotImplementedError  # pragma: no cover - an interface

    def _check_head(self) -> None:
        """Part of a head is there."""
        raise NotImplementedError  # pragma: no cover - an interface

    # what it calls

    def renew_parser(self) -> None:
        """Forget a message in the middle."""
        super().renew_parser()
        self._is_begun = False

    def _read(self, data: bytes) -> bytes:
        """Read `data`; what of it comes after a request for another protocol is left."""
        self._head_bytes += len(data)
        try:
            rest = self.feed(data)
        except Malformed as error:
            is_first = self._head_bytes == len(data) and self.scheme == "http"
            self._on_malformed(IN_TLS if is_first and data.startswith(TLS) else error)
            return b""
        if rest is not None:
            self._on_upgrade()
            return rest
        if self._receiving is not None:
            self._consider_raw(self._receiving)
        elif self._head_bytes:
            self._check_head()
        return b""

    def _read_share(self, data: bytes) -> None:
        """Read as much of `data` as others can wait for; the rest is put off."""
        while data:
            if self._raw_left:
                data = self._take_raw(data)
                continue
            receiving = self._receiving
            share = self._share()
            piece, data = data[:share], data[share:]
            # Where the connection is to end now, more is to come.
            self._behind = bool(data)
            data = self._read(piece) + data
            if self._closing or self._refused is not None:
                return
            now = self._receiving
            if now is not None and now.upgrade:
                break
            if receiving is not None and now is not receiving and len(piece) > SHARE:
                self._is_mixed = self._is_mixed or piece.count(b" HTTP/1.") > MANY
            is_same = now is not None and receiving in (None, now)
            if not is_same and not self._head_bytes:
                break
        if data:
            self._put_off(data)

    def _share(self) -> int:
        receiving = self._receiving
        if receiving is None:
            return SHARE
        if receiving.length > 0:
            return receiving.length - self._body
        return SHARE if self._is_mixed else BODY_SHARE

    def _pass_body(self, data: bytes) -> None:
        incoming = self._incoming
        if incoming is not None:
            if incoming is self.exchange:
                self._expect(self.worker.snapshot.timeouts.body, "body_timeout", clock.monotonic())
            incoming.on_body(data)
            return
        self._discarded += len(data)
        if self._discarded > DISCARD_LIMIT and not self._closing:
            self._end_connection()

    def _end_request(self, trailers: Fields) -> None:
        self._receiving = None
        self._head_bytes = 0
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            if incoming is self.exchange and self._body:
                self.deadline = NEVER
            if not incoming.body_ended:
                incoming.on_body_end(trailers)
        elif self.exchange is None and not self._closing:
            self._next()

    def _consider_raw(self, receiving: Request) -> None:
        left = receiving.length - self._body
        if left >= RAW_FROM and not self._waiting:
            self._raw_left = left
        if self._head_bytes > self.worker.snapshot.head_limit:
            # Trailers or a chunk's extensions that do not end; a piece of the body begins the count anew.
            limit = f"at most {self.worker.snapshot.head_limit} bytes"
            self._on_malformed(Malformed("head_too_large", f"what comes with the body may have {limit}"))
        elif self.deadline == NEVER and self.exchange is not None and not self._paused:
            self._expect(self.worker.snapshot.timeouts.body, "body_timeout", clock.monotonic())

    def _take_raw(self, data: bytes) -> bytes:
        """A piece of a body of known length, counted instead of parsed; what follows the body."""
        left = self._raw_left - len(data)
        if left > 0:
            self._raw_left = left
            self._pass_body(data)
            return b""
        self._raw_left = 0
        self.renew_parser()
        self._pass_body(data[:left] if left else data)
        self._end_request([])
        return data[left:] if left else b""

    def _on_upgrade(self) -> None:
        """llhttp stops at an upgrade request, whether or not it may become one."""
        request = self._receiving
        if request is not None and not request.upgrade:
            # It has a body: it is answered as if it had not asked, as is one that asked for what does not pass (h2c).
            self.expect_body(request)
        else:
            self.renew_parser()
