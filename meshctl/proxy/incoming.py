"""The bodies of a client's requests: passed on, counted instead of parsed where they are long, or thrown away where
nobody wants them any more; and where a request that asks for another protocol ends.

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
DISCARD_LIMIT: Final = 1_048_576
"""Bytes of a body nobody wants that are still read, so that the client can read its answer and go on."""


class Incoming(Client):
    """See the module."""

    known: Known | None = None
    dressed: Dressed | None = None

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

    # what it calls

    def renew_parser(self) -> None:
        """Forget a message in the middle."""
        super().renew_parser()
        self._is_begun = False

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

    def _on_upgrade(self, rest: bytes) -> None:
        """llhttp stops at an upgrade request, whether or not it may become one."""
        request = self._receiving
        if request is not None and request.upgrade:
            self.renew_parser()
            self._after_upgrade = rest
            if rest:
                self._pause()
            return
        # It asked for what does not pass (h2c) or has a body: it is answered as if it had not asked.
        if request is not None:
            self.expect_body(request)
        else:
            self.renew_parser()
        if rest:
            self.data_received(rest)
