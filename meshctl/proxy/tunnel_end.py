"""One end of a tunnel: a connection that bytes go through in both directions, plain or in frames. Which of the two ends
it is, and what happens at the other one, is not its business."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final, cast

from meshctl.wire.frames import DATA, END, END_FRAME, LONGEST, FrameReader, data_head
from meshctl.wire.message import Malformed

_AT_ONCE: Final = struct.pack("ii", 1, 0)


class TunnelEnd(asyncio.Protocol):
    """See the module."""

    def __init__(self, *, is_framed: bool) -> None:
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.is_framed = is_framed
        self._frames = FrameReader()
        self._has_ended = False
        self._is_over = False

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self.is_framed:
            self.on_bytes(data)
            return
        try:
            pieces = self._frames.feed(data)
        except Malformed:
            self.reset()
            return
        for kind, piece in pieces:
            if self._is_over:
                return
            if self._has_ended:
                self.reset()
            elif kind == DATA:
                self.on_bytes(piece)
            elif kind == END:
                self._has_ended = True
                self.on_end()
            else:
                self.on_said(kind, bytes(piece).decode("latin-1"))

    def eof_received(self) -> bool | None:
        if self.is_framed or not self.transport.can_write_eof():
            # The end of a TLS connection is the end of both directions; without an `END` before it, it was cut.
            if not self.is_framed:
                self.on_end()
            return None
        self.on_end()
        return True

    # what its owner makes of it

    def on_bytes(self, data: bytes | memoryview) -> None:
        """A piece has come."""
        raise NotImplementedError  # pragma: no cover - an interface

    def on_end(self) -> None:
        """The peer will send no more."""
        raise NotImplementedError  # pragma: no cover - an interface

    def on_said(self, kind: int, reason: str) -> None:
        """The other sidecar takes the connection (`OPEN`), or refuses it for a reason."""
        raise NotImplementedError  # pragma: no cover - an interface

    # what its owner does with it

    def send(self, data: bytes | memoryview) -> None:
        """Pass a piece on."""
        if not self.is_framed:
            self.transport.write(data)
            return
        for at in range(0, len(data), LONGEST):
            piece = data if len(data) <= LONGEST else data[at : at + LONGEST]
            self.transport.writelines((data_head(len(piece)), piece))

    def send_eof(self) -> None:
        """Say that there is no more to send; what can only be ended whole is."""
        if self.is_framed:
            self.transport.write(END_FRAME)
        elif self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def pause(self) -> None:
        """Read no more until `resume`."""
        self.transport.pause_reading()

    def resume(self) -> None:
        """See `pause`."""
        self.transport.resume_reading()

    def close(self) -> None:
        """End it; what was written is still sent."""
        self._is_over = True
        self.transport.close()

    def reset(self) -> None:
        """End it so that the peer notices that something is missing."""
        self._is_over = True
        reset(self.transport)


def reset(transport: asyncio.Transport) -> None:
    """End a connection by a reset. Closing would look like an end in order, and half a stream like a whole one."""
    end = transport.get_extra_info("socket")
    if end is not None and end.family != socket.AF_UNIX:
        _hurry(end)
    transport.abort()


def cut(end: socket.socket) -> None:
    """The same for a connection that nobody speaks on yet."""
    _hurry(end)
    end.close()


def _hurry(end: socket.socket) -> None:
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    except OSError:
        pass  # It is gone already.
