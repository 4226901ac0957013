"""By when does a caller need its answer, and what is left of that for the next hop?

A deadline travels as the time that is left, not as a point in time: there are no clocks to agree, and what a request
loses on the wire, a millisecond, is less than clocks of two machines differ by. Each hop takes the least of what it was
given and what it is configured to allow, and passes on what is left; so a deadline only ever shrinks. Knows nothing of
connections; what is read here may be anything at all, for anybody may send it.
"""

from __future__ import annotations

import re
from math import inf
from typing import Final

REQUEST_TIMEOUT: Final = b"x-request-timeout"
"""Our field: whole milliseconds and their unit, b"1500ms"."""
GRPC_TIMEOUT: Final = b"grpc-timeout"
"""gRPC's: at most eight digits and a unit."""

LONGEST: Final = 9_999_999.0
"""Seconds, nearly four months, above which nothing is read: it would outlast any process."""

_MILLISECONDS: Final = re.compile(rb"([0-9]{1,10})ms").fullmatch
_GRPC: Final = re.compile(rb"([0-9]{1,8})([HMSmun])").fullmatch
_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_MOST_DIGITS: Final = 100_000_000


def allowed(fields: dict[bytes, bytes]) -> float:
    """Seconds that a caller allows by these fields, by lower-case name: the least of them; infinity where none says
    anything that can be understood. What cannot is as if it had not been said."""
    return min(_ours(fields.get(REQUEST_TIMEOUT, b"")), _grpc(fields.get(GRPC_TIMEOUT, b"")))


def encode(left: float) -> bytes:
    """What is left as our field says it: 1.5 → b"1500ms". Never 0, which would refuse a request under way."""
    # A call of max or min costs as much as all of this.
    milliseconds = int(left * 1000 + 0.5) if left < LONGEST else int(LONGEST * 1000)
    return b"%dms" % (milliseconds if milliseconds > 0 else 1)


def encode_grpc(left: float) -> bytes:
    """The same as gRPC's field says it: milliseconds, or seconds where eight digits are not enough for them."""
    milliseconds = max(1, round(min(left, LONGEST) * 1000))
    return b"%dm" % milliseconds if milliseconds < _MOST_DIGITS else b"%dS" % (milliseconds // 1000)


def _ours(value: bytes) -> float:
    found = _MILLISECONDS(value)
    return min(int(found[1]) / 1000, LONGEST) if found else inf


def _grpc(value: bytes) -> float:
    found = _GRPC(value)
    return min(int(found[1]) * _UNITS[found[2]], LONGEST) if found else inf
