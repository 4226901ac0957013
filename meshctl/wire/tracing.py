"""Identifiers that follow a request: X-Request-Id and the W3C trace context. Pure: where they start is an argument."""

from __future__ import annotations

import re
from typing import Final

SAMPLED: Final = 0x01
"""The flag of traces that are recorded."""

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}", re.ASCII)
_TRACEPARENT: Final = re.compile(
    rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?", re.ASCII | re.DOTALL
)

_KNOWN: Final = SAMPLED | 0x02
"""Flags that mean something: the other one says that the trace's number is random (Level 2 §3.2.2.5.2)."""

_STEP: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1


def valid_request_id(value: bytes) -> bool:
    """Whether a client's request id can be kept: short and printable, so that it cannot forge a log line."""
    return _REQUEST_ID.fullmatch(value) is not None


def trace_and_flags(value: bytes) -> tuple[bytes, bytes, int] | None:
    """The trace, the caller's span and the flags of a traceparent, or None where it is none. Of a version that is not
    known it is read what all versions have in common (W3C Trace Context §3.2.4).

    >>> trace_and_flags(b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01")[1:]
    (b'2222222222222222', 1)
    """
    value = value.strip(b" \t")
    if not valid_traceparent(value):
        return None
    return value[3:35], value[36:52], int(value[53:55], 16) & _KNOWN


def valid_traceparent(value: bytes) -> bool:
    """Whether `value` is a traceparent this proxy may pass on (W3C Trace Context §3.2.2)."""
    found = _TRACEPARENT.fullmatch(value)
    if not found or found[1] == b"ff" or found[2].strip(b"0") == b"" or found[3].strip(b"0") == b"":
        return False
    return found[1] != b"00" or found[4] is None


class Identifiers:
    """New identifiers of one worker, none of which it gives twice: a request's, and its trace's where it has none yet,
    which is the same, so that one is found by the other."""

    __slots__ = ("_last", "_prefix")

    def __init__(self, prefix: int, start: int) -> None:
        self._prefix = b"%016x" % (prefix & _MASK)
        self._last = start

    @property
    def prefix(self) -> bytes:
        """With what all traceparents begin, as far as the lower half of the trace."""
        return b"00-" + self._prefix

    def next(self) -> tuple[bytes, bytes]:
        """A request id and the traceparent of a new trace, not sampled by this proxy (flags 00): nothing is recorded
        here, whoever comes next may decide. The span has the number of the trace's lower half, as roots have."""
        # Steps of an odd number come to each of all numbers before one comes again; this one leaves no digit as it was.
        self._last = last = (self._last + _STEP) & _MASK
        number = b"%016x" % last
        trace = self._prefix + number
        return trace, b"".join((b"00-", trace, b"-", number, b"-00"))
