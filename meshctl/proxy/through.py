"""A stream in front of a client's: everything passes, and what builds on it changes what it wants to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.proxy.keys import Stuck
from meshctl.proxy.stream import Forwarded, Stream
from meshctl.wire.fields import Fields

if TYPE_CHECKING:
    from meshctl.proxy.dressing import Dressed
    from meshctl.proxy.known import Known


class Alike:
    """Who a client is, as another stream says it."""

    def __init__(self, stream: Stream) -> None:
        self.client = stream.client
        self.scheme = stream.scheme
        self.listener = stream.listener
        self.entry = stream.entry
        self.is_outgoing = stream.is_outgoing
        self.peer = stream.peer
        self.identity = stream.identity
        self.trusted = stream.trusted


class Through(Alike):
    """See the module."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        self.stream = stream

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.stream!r}>"

    # what the connection remembers from request to request

    @property
    def forwarding(self) -> Forwarded:
        """See `stream.Stream`."""
        return self.stream.forwarding

    @forwarding.setter
    def forwarding(self, value: Forwarded) -> None:
        """See `stream.Stream`."""
        self.stream.forwarding = value

    @property
    def known(self) -> Known | None:
        """See `stream.Stream`."""
        return self.stream.known

    @known.setter
    def known(self, value: Known | None) -> None:
        """See `stream.Stream`."""
        self.stream.known = value

    @property
    def dressed(self) -> Dressed | None:
        """See `stream.Stream`."""
        return self.stream.dressed

    @dressed.setter
    def dressed(self, value: Dressed | None) -> None:
        """See `stream.Stream`."""
        self.stream.dressed = value

    @property
    def stuck(self) -> Stuck:
        """See `stream.Stream`."""
        return self.stream.stuck

    @stuck.setter
    def stuck(self, value: Stuck) -> None:
        """See `stream.Stream`."""
        self.stream.stuck = value

    # the exchange calls these

    def send_head(self, status: int, fields: Fields, length: int, *, body: bool, final: bool = True) -> None:
        """See `stream.Stream`."""
        self.stream.send_head(status, fields, length, body=body, final=final)

    def send_whole(self, status: int, fields: Fields, body: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        self.stream.send_whole(status, fields, body)

    def send_ready(self, block: bytes, request_id: bytes, body: bytes | memoryview) -> bool:
        """See `stream.Stream`."""
        return False

    def send_body(self, data: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        self.stream.send_body(data)

    def send_raw(self, data: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        self.stream.send_raw(data)

    def send_end(self, trailers: Fields) -> None:
        """See `stream.Stream`."""
        self.stream.send_end(trailers)

    def flush(self) -> None:
        """See `stream.Stream`."""
        self.stream.flush()

    def cut(self) -> None:
        """See `stream.Stream`."""
        self.stream.cut()

    def done(self, now: float) -> None:
        """See `stream.Stream`."""
        self.stream.done(now)

    def pause_body(self) -> None:
        """See `stream.Stream`."""
        self.stream.pause_body()

    def resume_body(self) -> None:
        """See `stream.Stream`."""
        self.stream.resume_body()

    def to_tunnel(self, fields: Fields, status: int = 101) -> None:
        """See `stream.Stream`."""
        self.stream.to_tunnel(fields, status)
