"""Whether a client is listened to: not while it would only make the proxy collect what nobody takes yet.

What came with a read and is not looked at yet is kept as if it had stayed in the kernel: not a byte after it is read
before it. Nothing is heard of a client's end then, either, so every second it is looked at: one that has gone holds
neither a place nor an endpoint for as long as an answer may take. A tunnel may go on in the other direction; there the
end comes in its turn.
"""

from __future__ import annotations

import asyncio
import select
from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.proxy.timers import NEVER
from meshctl.wire.request_reader import RequestReader

if TYPE_CHECKING:
    from collections.abc import Sized

    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.worker import Worker
    from meshctl.wire.message import Request

UNHEARD: Final = "unheard"
"""What is awaited of a client that is not listened to: to be looked at."""
LOOK_EVERY: Final = 1.0

# That the other end says no more (Linux alone tells), or that there is none.
_GONE: Final = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


class Heeding(RequestReader):
    """See the module."""

    worker: Worker
    transport: asyncio.Transport
    deadline: float
    deadline_reason: str
    _behind: bool
    _closing: bool
    _is_due: bool
    _paused: bool
    _receiving: Request | None
    _tunnel: Exchange | None
    _unread: bytes
    _waiting: Sized

    def data_received(self, data: bytes) -> None:
        """Something has come."""
        raise NotImplementedError  # pragma: no cover - an interface

    def pause_body(self) -> None:
        """See `stream.Stream`."""
        self._pause()

    def resume_body(self) -> None:
        """See `stream.Stream`."""
        if self._paused and not self._waiting and not self._closing:
            self._paused = False
            if self._unread:
                self._go_on_soon()
            else:
                self._behind = False
                self.transport.resume_reading()
            if self.deadline_reason == UNHEARD:
                self.deadline = NEVER
            if self._receiving is not None and self.deadline == NEVER:
                self._expect(self.worker.snapshot.timeouts.body, "body_timeout", clock.monotonic())

    def _expect(self, seconds: float, reason: str, now: float) -> None:
        self.deadline = now + seconds
        self.deadline_reason = reason

    def _pause(self) -> None:
        if self._closing:
            return
        if not self._paused:
            self._paused = True
            self.transport.pause_reading()
        if self.deadline == NEVER or self.deadline_reason == "body_timeout":
            # A client that is not listened to is not late.
            self._expect(LOOK_EVERY, UNHEARD, clock.monotonic())

    def _put_off(self, data: bytes) -> None:
        """Look at `data` when others have had their turn, or when the client is listened to again."""
        if self._closing:
            return
        self._unread = data
        self._behind = True
        if self._receiving is not None and self._receiving.upgrade:
            # In which protocol it is will be seen.
            self._pause()
        if not self._paused:
            self.transport.pause_reading()
            self._go_on_soon()

    def _go_on_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self.worker.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_due = False
        if self._paused or self._closing:
            return
        data, self._unread = self._unread, b""
        if data:
            self.data_received(data)
        if not (self._unread or self._paused or self._closing):
            self._behind = False
            self.transport.resume_reading()

    def _look_after(self) -> None:
        """See whether a client that is not listened to is still there."""
        if not self._paused or self._tunnel is not None:
            return
        if has_gone(self.transport):
            self._closing = True
            self.transport.abort()
        else:
            self._expect(LOOK_EVERY, UNHEARD, clock.monotonic())


def has_gone(transport: asyncio.Transport) -> bool:
    """Whether the other end has ended the connection, behind whatever it sent before."""
    end = transport.get_extra_info("socket")
    looking = select.poll()
    looking.register(end.fileno(), _GONE)
    return bool(looking.poll(0))
