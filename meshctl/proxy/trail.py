"""What is noted of a request whose trace is recorded: whose part it is, and each of its tries.

Only where something unusual happens does an exchange say so here: what most requests come to, one try that was
answered, is read off the exchange itself when it has ended (`last`). So those that are not recorded do nothing for it.
What is told of all this, in whose words, is in `span_words`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meshctl import clock
from meshctl.wire.reasons import CLIENT_GONE_STATUS, status_of

if TYPE_CHECKING:
    from meshctl.proxy.attempt import Attempt
    from meshctl.proxy.endpoint import LiveEndpoint
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.service import LiveVersion


class Try(NamedTuple):
    """One attempt to have a request answered: a client's span."""

    id: bytes
    started: float
    ended: float
    endpoint: LiveEndpoint
    version: LiveVersion | None
    status: int
    """What it was answered with; 0 where it was not."""
    reason: str
    """Why it failed."""


class Trail:
    """See the module. `span` is the server's, of which all tries are parts, itself part of the span `parent` of
    somebody else (b"" where there is none)."""

    __slots__ = ("context", "flags", "id", "over", "parent", "reason", "span", "started", "state", "trace")

    def __init__(self, trace: bytes, span: bytes, parent: bytes, flags: int, state: bytes) -> None:
        self.trace, self.span, self.parent, self.state = trace, span, parent, state
        self.flags = b"%02x" % flags
        self.context = b"-".join((b"00", trace, span, self.flags))
        """The traceparent of what is done for the request before it is passed on."""
        self.over: list[Try] = []
        """The tries that another one followed."""

    def __repr__(self) -> str:
        return f"<Trail {self.trace.decode()} {len(self.over)} tries are over>"

    def begin(self, exchange: Attempt, now: float) -> None:
        """A try begins, or would if all goes well: whoever is asked is a part of it."""
        self.id = b"%016x" % (clock.bits(64) or 1)
        self.started = now
        self.reason = ""
        exchange.traceparent = b"-".join((b"00", self.trace, self.id, self.flags))

    def leave(self, exchange: Attempt, endpoint: LiveEndpoint, status: int) -> None:
        """The try is over, and another one follows; `status` is what it was answered with, if it was."""
        now = clock.monotonic()
        self.over.append(Try(self.id, self.started, now, endpoint, exchange.version, status, self.reason))

    def tries(self, exchange: Exchange) -> list[Try]:
        """All tries of an exchange that has ended."""
        endpoint = exchange.endpoint
        if endpoint is None:
            return self.over
        status, reason = exchange.status, exchange.reason
        if reason and status in (status_of(reason), CLIENT_GONE_STATUS):
            # What the client was told is not what the endpoint said.
            status = 0
        reason = self.reason or (reason if status != exchange.status else "")
        return [
            *self.over,
            Try(self.id, self.started, exchange.finished, endpoint, exchange.version, status, reason),
        ]
