"""When a certificate is to be replaced. Pure: all times are wall-clock seconds since the epoch, dice are arguments.

The wall clock and not the time since issuing decides, and is asked again and again: a laptop that slept wakes up with
what is due or expired, and notices. A timer set for the right moment would not: it stands still while the machine does.
"""

from __future__ import annotations

from typing import Final

PART: Final = 2 / 3
"""The part of its life after which a certificate is replaced."""
JITTER: Final = 1 / 20
"""The part of its life by which that comes earlier at most, so that proxies started together do not renew together."""

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0


def renewal_moment(not_before: float, not_after: float, dice: float) -> float:
    """When to replace a certificate of this validity; `dice` in [0, 1)."""
    life = not_after - not_before
    return not_before + life * (PART - JITTER * dice)


def is_due(moment: float, not_before: float, now: float) -> bool:
    """Whether to replace it now: its moment is past, as it is when it expired; or it is not valid yet, which means that
    the clock stood wrong when it was issued."""
    return now >= moment or now < not_before


def pause_after_failure(failures: int, dice: float) -> float:
    """Seconds until the next attempt after so many failed ones in a row, at least 1: doubled each time, up to a minute,
    and spread by half."""
    longest = min(_FIRST_PAUSE * 2.0 ** min(failures - 1, 10), _LONGEST_PAUSE)
    return longest * (1 - dice / 2)
