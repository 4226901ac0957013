"""Clocks: certificates, leases and rollouts are judged by this machine's wall clock, so that has to be right."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Final

from meshctl import clock
from meshctl.control.checks.facts import Facts
from meshctl.control.checks.finding import Finding, Unknown, failed, passed, warned

BACK: Final = 5.0
"""Seconds that records may lie in the future before the clock is said to have gone back."""
_BIRTH: Final = 1_767_225_600.0
"""2026: no clock that is right shows an earlier date to this program."""
_UNSYNCHRONISED: Final = 5
# adjtimex(2) fills a struct of some 200 bytes; its first field, `modes`, is 0 where one only asks.
_ROOM: Final = 512
_SET: Final = "timedatectl set-ntp true, or install chrony"


def plausible(facts: Facts) -> Finding:
    """The clock shows a date that can be."""
    if facts.now < _BIRTH:
        return failed(f"it is not {clock.timestamp(facts.now)}", f"set the clock: {_SET}")
    return passed(clock.timestamp(facts.now))


def forward(facts: Facts) -> Finding:
    """The clock has not gone back since the last change of the store."""
    found = facts.applied()
    moments = [audit.when for audit in facts.read().audits(50)]
    moments += [record.started for record in facts.living()]
    return judge_forward([*moments, found.summary.at if found else 0.0], facts.now)


def judge_forward(moments: Iterable[float], now: float) -> Finding:
    """See `forward`; `moments` are when things happened."""
    last = max(moments, default=0.0)
    if last > now + BACK:
        detail = f"something happened at {clock.timestamp(last)}, and now it is {clock.timestamp(now)}"
        return failed(f"{detail}: the clock went back, and leases live on", f"set the clock: {_SET}")
    return passed("nothing on record lies in the future")


def synchronised(_facts: Facts) -> Finding:
    """Something keeps the clock right."""
    try:
        said = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_ROOM))
    except (OSError, AttributeError):
        raise Unknown("this system does not tell") from None
    return judge_synchronised(said)


def judge_synchronised(said: int) -> Finding:
    """See `synchronised`; `said` is what adjtimex(2) returned."""
    if said == _UNSYNCHRONISED:
        return warned("nothing keeps this clock right; certificates are judged by it", _SET)
    return passed("kept right by NTP" if said >= 0 else "this system does not tell")
