"""The name of the server that a client asks for as it begins TLS (RFC 8446 §4.1.2, RFC 6066 §3). Pure: read as far as
it has come, and believed by nobody, since it proves nothing."""

from __future__ import annotations

import re
from typing import Final

_HANDSHAKE: Final = 0x16
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_HOST_NAME: Final = 0
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?", re.ASCII)
"""What may stand in a log."""


def server_name(data: bytes) -> str:
    """The name in the beginning of a connection, in lower case; "" where there is none, or none yet."""
    # One record has it, but for a client that cuts its first message in two, which none does.
    if len(data) < 6 or data[0] != _HANDSHAKE or data[5] != _CLIENT_HELLO:
        return ""
    # Record (5), type and length (4), version (2), random (32), then what has a length before it.
    at = 43
    for size in (1, 2, 1):  # the session's id, cipher suites, compression methods
        at += size + int.from_bytes(data[at : at + size])
    at += 2
    while at + 4 <= len(data):
        kind, length = int.from_bytes(data[at : at + 2]), int.from_bytes(data[at + 2 : at + 4])
        if kind == _SERVER_NAME:
            return _first(data[at + 4 : at + 4 + length])
        at += 4 + length
    return ""


def _first(names: bytes) -> str:
    """The name in a list of them, of which there may be one of each type."""
    size = int.from_bytes(names[3:5])
    name = names[5 : 5 + size]
    if len(names) < 5 or names[2] != _HOST_NAME or len(name) != size:
        return ""
    text = name.decode("latin-1")
    return text.lower() if _HOST.fullmatch(text) else ""
