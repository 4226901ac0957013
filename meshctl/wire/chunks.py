"""The chunked transfer coding, written (RFC 9112 §7.1). Reading it is the parser's work. Pure."""

from __future__ import annotations

from typing import Final

from meshctl.wire.fields import Fields, encode_fields

LAST: Final = b"0\r\n\r\n"
"""The last chunk, without trailers."""


def chunk(data: bytes) -> bytes:
    """`data` as one chunk. It must not be empty: an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Fields) -> bytes:
    """The last chunk with its trailer section."""
    return b"0\r\n%b\r\n" % encode_fields(trailers)
