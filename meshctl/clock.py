"""The only place that reads the time or throws dice, so that everything else can be given both as arguments."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime

monotonic = time.monotonic  # noqa: TID251 - this is the clock
"""Seconds since an arbitrary start; never goes back. For durations and deadlines within one process."""

wall = time.time  # noqa: TID251 - this is the clock
"""Seconds since 1970-01-01 UTC. For what is shown to people or shared between processes."""

_dice = random.SystemRandom()
# Seeded from the operating system at import and again after a fork: good enough for draws and identifiers, never for
# secrets.
_fast = random.Random()  # noqa: S311 - load balancing draws and trace identifiers, not secrets

draw = _fast.random
"""A float in [0, 1). Not for secrets."""

bits = _fast.getrandbits
"""`bits(n)`: an integer of n random bits. Not for secrets."""


def reseed() -> None:
    """Start a new sequence of draws; a forked worker calls this so that siblings do not draw alike."""
    _fast.seed(_dice.getrandbits(256))


def timestamp(seconds: float) -> str:
    """`seconds` since the epoch as RFC 3339 in UTC with milliseconds: `2026-11-22T01:15:21.123Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc(seconds: float) -> datetime:
    """`seconds` since the epoch as a date in UTC, in whole seconds: what certificates are dated with."""
    return datetime.fromtimestamp(int(seconds), UTC)


def read_time(text: str, form: str = "") -> float:
    """Seconds since the epoch of a time as it is written, in RFC 3339 or as `form` says (`strptime`). Raises
    ValueError."""
    found = datetime.strptime(text, form) if form else datetime.fromisoformat(text)
    return found.timestamp()
