"""Days and months of UTC by number, as quotas begin anew with them. Pure: seconds since 1970 are an argument.

>>> day(86_400.0 * 365).name, month(86_400.0 * 365).name, month(86_400.0 * 365).end
('1971-01-01', '1971-01', 34214400.0)
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

_DAY: Final = 86_400.0


class Period(msgspec.Struct, frozen=True):
    """A day or a month: its number, which grows with time, its name in ISO 8601, and when it ends."""

    number: int
    name: str
    end: float


def period(per: Literal["day", "month"], now: float) -> Period:
    """The day or the month of `now`."""
    return day(now) if per == "day" else month(now)


def day(now: float) -> Period:
    """The day of `now`."""
    number = int(now // _DAY)
    year, at, which = _civil(number)
    return Period(number, f"{year:04}-{at:02}-{which:02}", (number + 1) * _DAY)


def month(now: float) -> Period:
    """The month of `now`."""
    year, at, _ = _civil(int(now // _DAY))
    following = (year + 1, 1) if at == 12 else (year, at + 1)
    return Period(year * 12 + at - 1, f"{year:04}-{at:02}", _days(*following) * _DAY)


def midnight(year: int, at: int, which: int) -> float:
    """The first second of a day. Raises ValueError where there is no such day."""
    number = _days(year, at) + which - 1
    if _civil(number) != (year, at, which):
        raise ValueError("there is no such day")
    return number * _DAY


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month and day of the proleptic Gregorian calendar, `days` after 1970-01-01. Years begin in March here, so
    that the day that some have is the last one."""
    shifted = days + 719_468
    era, of_era = divmod(shifted, 146_097)
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    at = (5 * of_year + 2) // 153
    which = of_year - (153 * at + 2) // 5 + 1
    return year + era * 400 + (at >= 10), at + 3 if at < 10 else at - 9, which


def _days(year: int, at: int) -> int:
    """Days from 1970-01-01 to the first of a month."""
    year -= at <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (at - 3 if at > 2 else at + 9) + 2) // 5
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
