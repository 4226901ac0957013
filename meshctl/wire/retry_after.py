"""How long an answer asks its client to wait (Retry-After, RFC 9110 §10.2.3): seconds, or a date. Pure: now is an
argument."""

from __future__ import annotations

import re
from typing import Final

from meshctl.wire.dates import moment
from meshctl.wire.fields import Fields

_NAME: Final = b"retry-after"
_SECONDS: Final = re.compile(rb"[0-9]{1,9}").fullmatch


def wait_asked(fields: Fields, now: float) -> float:
    """Seconds from `now`, on the wall clock, until the answer's sender wants to be asked again; 0 where it does not
    say, or says what cannot be understood."""
    for line in fields:
        name, _, value = line.partition(b":")
        if name.lower() == _NAME:
            return _wait(value.strip(b" \t"), now)
    return 0.0


def _wait(value: bytes, now: float) -> float:
    if _SECONDS(value):
        return float(value)
    until = moment(value, now)
    return 0.0 if until is None else max(0.0, until - now)
