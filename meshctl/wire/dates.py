"""How HTTP writes and reads a moment (RFC 9110 §5.6.7): one form is written, three are read. Pure: which moment it is,
is an argument.

The library's parsers of dates take megabytes of modules that an idle proxy does without.
"""

from __future__ import annotations

import re
from email.utils import formatdate
from functools import lru_cache
from typing import Final

_TIME: Final = rb"(?P<h>[0-2][0-9]):(?P<i>[0-5][0-9]):(?P<s>[0-6][0-9])"
_DATES: Final = (
    re.compile(rb"[A-Z][a-z]{2}, (?P<d>[0-9]{2}) (?P<m>[A-Z][a-z]{2}) (?P<y>[0-9]{4}) " + _TIME + rb" GMT").fullmatch,
    re.compile(rb"[A-Z][a-z]{5,8}, (?P<d>[0-9]{2})-(?P<m>[A-Z][a-z]{2})-(?P<y>[0-9]{2}) " + _TIME + rb" GMT").fullmatch,
    re.compile(rb"[A-Z][a-z]{2} (?P<m>[A-Z][a-z]{2}) (?P<d>[ 0-9][0-9]) " + _TIME + rb" (?P<y>[0-9]{4})").fullmatch,
)
_MONTHS: Final = {
    name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1)
}
_DAY: Final = 86_400
_USUAL: Final = len(b"Sun, 06 Nov 1994 08:49:37 GMT")
_HALF_CENTURY: Final = 50


@lru_cache(maxsize=4)
def date_line(second: int) -> bytes:
    """The Date field (RFC 9110 §6.6.1) of what is answered in that second since the epoch."""
    return b"Date: " + formatdate(second, usegmt=True).encode()


def moment(value: bytes, now: float) -> float | None:
    """The Unix time that a date in one of the three forms means; None where it is none. `now` tells the century of a
    year of two digits."""
    if len(value) == _USUAL:
        found = _usual(value)
        if found is not None:
            return found
    for form in _DATES:
        if found_form := form(value):
            return _moment(found_form, now)
    return None


@lru_cache(maxsize=64)
def _usual(value: bytes) -> float | None:
    """The same of the form that is written today, which tells the century and mostly repeats."""
    found = _DATES[0](value)
    return _moment(found, 0.0) if found is not None else None


def _moment(found: re.Match[bytes], now: float) -> float | None:
    month = _MONTHS.get(found["m"], 0)
    if not month:
        return None
    year = int(found["y"])
    if len(found["y"]) == 2:
        # The one that ends so and is nearest: a year more than fifty ahead is of the century before (§5.6.7).
        earliest = 1970 + int(now / (365.2425 * _DAY)) - _HALF_CENTURY
        year = earliest + (year - earliest) % 100
    days = _days(year, month, int(found["d"]))
    return days * _DAY + int(found["h"]) * 3600 + int(found["i"]) * 60 + int(found["s"])


def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 in the Gregorian calendar. Years are counted from March, so that the day that may be there
    or not is the last one."""
    year -= month <= 2
    since_march = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return year * 365 + year // 4 - year // 100 + year // 400 + since_march - 719_468
