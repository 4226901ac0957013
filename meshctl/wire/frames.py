"""Raw bytes between two sidecars (ALPN "meshctl-tcp/1"), framed so that what TLS cannot say can be said: that one side
has nothing more to send while the other goes on, and whether the app was reached at all.

    head (4 bytes, big-endian): kind (1), length (3); then as many bytes

The callee begins with `OPEN` or `REFUSED`, whose bytes are the reason; then both send `DATA` until each has said `END`.
A connection that ends without `END` was cut. Sans-I/O: bytes in, pieces out; the only exception is `Malformed`.
"""

from __future__ import annotations

import struct
from typing import Final

from meshctl.wire.message import Malformed

DATA: Final = 0
END: Final = 1
OPEN: Final = 2
REFUSED: Final = 3

Piece = tuple[int, bytes | memoryview]
"""A kind and its bytes; those of `DATA` come as they arrive, others whole."""

LONGEST: Final = 0xFFFFFF
"""The most bytes of one frame."""
LONGEST_REASON: Final = 256

_HEAD: Final = struct.Struct("!I")
END_FRAME: Final = _HEAD.pack(END << 24)
OPEN_FRAME: Final = _HEAD.pack(OPEN << 24)


def data_head(size: int) -> bytes:
    """What stands before `size` bytes of data, at most `LONGEST`."""
    return _HEAD.pack(size)


def refused_frame(reason: str) -> bytes:
    """A refusal with its reason."""
    said = reason.encode("latin-1", "replace")[:LONGEST_REASON]
    return _HEAD.pack(REFUSED << 24 | len(said)) + said


class FrameReader:
    """What comes over one connection."""

    def __init__(self) -> None:
        self._left = 0
        """Bytes of a data frame that are still to come."""
        self._held = b""
        """A head or a refusal that is not whole."""

    def __repr__(self) -> str:
        return f"<FrameReader {self._left} to come, {len(self._held)} held>"

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces in `data`. Raises Malformed."""
        if 0 < len(data) <= self._left:
            # The middle of a long frame, as most reads of a busy connection are: nothing is cut or copied.
            self._left -= len(data)
            return [(DATA, data)]
        whole = memoryview(self._held + data if self._held else data)
        self._held = b""
        pieces: list[Piece] = []
        at = 0
        while at < len(whole):
            if self._left:
                piece = whole[at : at + self._left]
                self._left -= len(piece)
                pieces.append((DATA, piece))
                at += len(piece)
                continue
            end = self._read_head(whole, at, pieces)
            if not end:
                self._held = bytes(whole[at:])
                break
            at = end
        return pieces

    def _read_head(self, whole: memoryview, at: int, pieces: list[Piece]) -> int:
        """Read a head, and what belongs to it unless that is data; where it ends, 0 where it is not all there."""
        begin = at + _HEAD.size
        if len(whole) < begin:
            return 0
        head = int.from_bytes(whole[at:begin])
        kind, length = head >> 24, head & LONGEST
        if kind == DATA:
            self._left = length
            return begin
        if kind > REFUSED or length > (LONGEST_REASON if kind == REFUSED else 0):
            raise Malformed("bad_request", "not a frame")
        end = begin + length
        if len(whole) < end:
            return 0
        pieces.append((kind, bytes(whole[begin:end])))
        return end
