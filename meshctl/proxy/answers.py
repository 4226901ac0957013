"""What comes of asking another server: its answer, or why there is none. Knows nothing of how it was asked."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from meshctl.wire.fields import Fields


class Unreachable(Exception):  # noqa: N818 - a claim about a server
    """There is no answer to be had there now. Says why, and nothing that was sent or answered."""


class Answered(msgspec.Struct, frozen=True):
    """An answer, whatever its status. The fields are as they came: framing, hop-by-hop and all."""

    status: int
    fields: Fields
    body: bytes


def origin(url: str) -> str:
    """Scheme and host of a URL: what may be said of it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if url else ""
