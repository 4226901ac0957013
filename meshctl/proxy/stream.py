"""The client's side of an exchange, whatever HTTP version it speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from meshctl.proxy.keys import Stuck
from meshctl.wire.fields import Fields

if TYPE_CHECKING:
    from meshctl.proxy.dressing import Dressed
    from meshctl.proxy.known import Known


class Forwarded(NamedTuple):
    """The lines of a head that went to an endpoint, and what they were made of: the very objects, as one that is
    there again has not changed."""

    authority: bytes
    special: dict[bytes, bytes]
    said: bytes
    """The lines for both of these."""
    fields: Fields
    edits: object
    """What a route changes in them (`CompiledRoute.edits`)."""
    block: bytes
    """The lines of all that together."""


NOTHING_FORWARDED: Final = Forwarded(b"", {}, b"", [], None, b"")


class Inlet(Protocol):
    """Where a client came in."""

    scheme: str
    address: str
    entry: str
    """See `Stream.entry`."""


class Stream(Protocol):
    """What an exchange may ask of its client. A connection that speaks HTTP/1.1 is one; HTTP/2 has many."""

    client: str
    """The client's address."""
    scheme: str
    listener: str
    entry: str
    """Which routes are asked (`model.mesh.Listener.entry`)."""
    is_outgoing: bool
    """Whether the client is the wrapped app itself: what it says of those it speaks for goes on as it is."""
    peer: str
    """The service that the client proved to be; "" where it proved nothing."""
    identity: str
    """The same as a SPIFFE ID, for the wrapped app."""
    trusted: bool
    """Whether the client is a proxy whose forwarding fields are believed."""
    forwarding: Forwarded
    """What its last request became."""
    known: Known | None
    """Who sent it, where that was asked."""
    dressed: Dressed | None
    """What the page was told that sent it, where that was asked."""
    stuck: Stuck
    """And the bucket that one was in."""

    def send_head(self, status: int, fields: Fields, length: int, *, body: bool, final: bool = True) -> None:
        """The head of the answer: `length` of the body, negative when unknown; `body` is False where none follows;
        `final` is False for an interim answer."""

    def send_whole(self, status: int, fields: Fields, body: bytes | memoryview) -> None:
        """A whole answer that has a body, or could have had one."""

    def send_ready(self, block: bytes, request_id: bytes, body: bytes | memoryview) -> bool:
        """The same, where the answer's head is there in HTTP/1.1 already (`Response.block`) but for the request's id,
        which lines may follow that are added to it.
        Whether that was done: not where more than an answer is to be said, or in another way."""

    def send_body(self, data: bytes | memoryview) -> None:
        """A piece of the body, sent at the next flush."""

    def send_raw(self, data: bytes | memoryview) -> None:
        """A piece of a body of known length, or of a tunnel, sent at once."""

    def send_end(self, trailers: Fields) -> None:
        """The end of the body; everything is sent."""

    def flush(self) -> None:
        """Send what waits."""

    def cut(self) -> None:
        """End the client's stream in the middle, so that it notices."""

    def done(self, now: float) -> None:
        """The exchange has finished."""

    def pause_body(self) -> None:
        """Take no more of the request's body until `resume_body`."""

    def resume_body(self) -> None:
        """See `pause_body`."""

    def to_tunnel(self, fields: Fields, status: int = 101) -> None:
        """Answer `status` with `fields` and pass bytes from now on."""


class TunnelStream(Stream, Protocol):
    """A client whose tunnel may end in one direction and go on in the other."""

    def send_eof(self) -> None:
        """Say that nothing more will come."""
