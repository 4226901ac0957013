"""Identifiers that follow a request: X-Request-Id and the W3C trace context. Pure: the dice are an argument."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}", re.ASCII)
_TRACEPARENT: Final = re.compile(
    rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?", re.ASCII | re.DOTALL
)

_LEADING: Final = 1 << 192 | 1 << 64 | 1  # neither identifier may be all zeros


def valid_request_id(value: bytes) -> bool:
    """Whether a client's request id can be kept: short and printable, so that it cannot forge a log line."""
    return _REQUEST_ID.fullmatch(value) is not None


def valid_traceparent(value: bytes) -> bool:
    """Whether `value` is a traceparent this proxy may pass on (W3C Trace Context §3.2.2)."""
    found = _TRACEPARENT.fullmatch(value)
    if not found or found[1] == b"ff" or found[2].strip(b"0") == b"" or found[3].strip(b"0") == b"":
        return False
    return found[1] != b"00" or found[4] is None


def new_traceparent(bits: Callable[[int], int]) -> bytes:
    """A new trace, not sampled by this proxy (flags 00): nothing is recorded here, whoever comes next may decide."""
    # One draw and one number for both identifiers; the leading one keeps the zeros.
    drawn = b"%x" % (bits(192) | _LEADING)
    return b"00-%b-%b-00" % (drawn[1:33], drawn[33:])
