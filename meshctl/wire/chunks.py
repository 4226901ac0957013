"""The chunked transfer coding, written (RFC 9112 §7.1). Reading it is the parser's work. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from meshctl.wire.fields import Field, encode_fields

LAST: Final = b"0\r\n\r\n"
"""The last chunk, without trailers."""


def chunk(data: bytes) -> bytes:
    """`data` as one chunk. It must not be empty: an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Iterable[Field]) -> bytes:
    """The last chunk with its trailer section."""
    return b"0\r\n%b\r\n" % encode_fields(trailers)
