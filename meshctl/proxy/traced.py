"""A request whose trace is recorded: an exchange that notes what each of its tries came to, and tells of it in the end.

An exchange becomes one of these at its head (`tracer`), so that no other does anything for traces. What is told of it,
in whose words, is in `span_words`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl import clock
from meshctl.proxy.exchange import Exchange

if TYPE_CHECKING:
    from meshctl.proxy.endpoint import LiveEndpoint
    from meshctl.proxy.service import LiveVersion
    from meshctl.proxy.tracer import Tracer
    from meshctl.wire.message import Response


class Try:
    """One attempt to have a request answered: a client's span."""

    __slots__ = ("ended", "endpoint", "id", "reason", "started", "status", "version")

    def __init__(self, span: bytes, started: float, endpoint: LiveEndpoint | None, version: LiveVersion | None) -> None:
        self.id = span
        self.started = started
        self.ended = 0.0
        """0 while it is under way."""
        self.endpoint = endpoint
        self.version = version
        self.status = 0
        self.reason = ""

    def __repr__(self) -> str:
        return f"<Try {self.endpoint!r} {self.status or self.reason}>"


class Traced(Exchange):
    """See the module."""

    tracer: Tracer
    trace: bytes
    span: bytes
    """The server's span, of which all tries are parts."""
    parent: bytes
    state: bytes
    flags: bytes
    tries: list[Try]

    def record(self, tracer: Tracer, trace: bytes, span: bytes, parent: bytes, flags: int, state: bytes) -> None:
        """Be recorded as `span`, part of the span `parent` of somebody else (b"" where there is none)."""
        self.tracer = tracer
        self.trace, self.span, self.parent, self.state = trace, span, parent, state
        self.flags = b"%02x" % flags
        self.traceparent = b"-".join((b"00", trace, span, self.flags))
        self.tries = []

    def forward(self) -> None:
        """A try begins: whoever is asked is a part of it."""
        span = b"%016x" % (clock.bits(64) or 1)
        self.traceparent = b"-".join((b"00", self.trace, span, self.flags))
        self.tries.append(Try(span, clock.monotonic(), self.endpoint, self.version))
        super().forward()

    def on_response(self, response: Response, body: bytes | memoryview | None, now: float) -> bool:
        """What the try was answered."""
        self.tries[-1].status = response.status
        return super().on_response(response, body, now)

    def note_failure(self, reason: str) -> None:
        """Why the try failed."""
        if self.tries and not self.tries[-1].ended:
            self.tries[-1].reason = reason
        super().note_failure(reason)

    def again(self, delay: float) -> None:
        """The try is over, and another one follows."""
        self.tries[-1].ended = clock.monotonic()
        super().again(delay)

    def finish(self, now: float) -> None:
        """All of it is over."""
        if self.finished:
            return
        super().finish(now)
        if self.tries and not self.tries[-1].ended:
            last = self.tries[-1]
            last.ended = now
            last.reason = last.reason or ("" if self.status and last.status == self.status else self.reason)
        self.tracer.tell(self, now)
