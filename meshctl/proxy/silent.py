"""The client of an exchange that has none: requests that the proxy itself sends on behalf of another one's client.

Must not know why they are sent (`copying`, `assembling`, `inquiry`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.proxy.keys import NOT_STUCK
from meshctl.proxy.stream import NOTHING_FORWARDED, Forwarded, Stream
from meshctl.proxy.through import Alike
from meshctl.wire.fields import Fields

if TYPE_CHECKING:
    from meshctl.proxy.dressing import Dressed
    from meshctl.proxy.known import Known


class Silent(Alike):
    """A client that is not there: who the original's was, and no ear for anything."""

    stuck = NOT_STUCK
    known: Known | None = None
    dressed: Dressed | None = None

    def __init__(self, original: Stream) -> None:
        super().__init__(original)
        self.forwarding: Forwarded = NOTHING_FORWARDED

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self.client}>"

    def send_head(self, status: int, fields: Fields, length: int, *, body: bool, final: bool = True) -> None:
        """See `stream.Stream`."""

    def send_whole(self, status: int, fields: Fields, body: bytes | memoryview) -> None:
        """See `stream.Stream`."""

    def send_ready(self, block: bytes, request_id: bytes, body: bytes | memoryview) -> bool:
        """See `stream.Stream`."""
        return False

    def send_body(self, data: bytes | memoryview) -> None:
        """See `stream.Stream`."""

    def send_raw(self, data: bytes | memoryview) -> None:
        """See `stream.Stream`."""

    def send_end(self, trailers: Fields) -> None:
        """See `stream.Stream`."""

    def flush(self) -> None:
        """See `stream.Stream`."""

    def cut(self) -> None:
        """See `stream.Stream`."""

    def done(self, now: float) -> None:
        """See `stream.Stream`."""

    def pause_body(self) -> None:
        """See `stream.Stream`."""

    def resume_body(self) -> None:
        """See `stream.Stream`."""

    def to_tunnel(self, fields: Fields, status: int = 101) -> None:
        """See `stream.Stream`."""


class Noting(Silent):
    """The same, but the answer is noted. Its length is for the exchange's route to bound."""

    def __init__(self, original: Stream) -> None:
        super().__init__(original)
        self.fields: Fields = []
        self.body = bytearray()

    def send_head(self, status: int, fields: Fields, length: int, *, body: bool, final: bool = True) -> None:
        """See `stream.Stream`."""
        if final:
            self.fields = fields

    def send_whole(self, status: int, fields: Fields, body: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        self.fields = fields
        self.body += body

    def send_body(self, data: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        self.body += data

    def send_raw(self, data: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        self.body += data
