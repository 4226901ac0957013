"""The chunked transfer coding, written (RFC 9112 §7.1). Reading it is the parser's work. Pure."""

from __future__ import annotations

from meshctl.wire.fields import Fields, encode_fields


def chunk(data: bytes | memoryview) -> bytes:
    """`data` as one chunk. It must not be empty: an empty chunk would end the body."""
    return b"".join((b"%x\r\n" % len(data), data, b"\r\n"))


def last_chunk(trailers: Fields) -> bytes:
    """The last chunk with its trailer section."""
    return b"0\r\n%b\r\n" % encode_fields(trailers)
