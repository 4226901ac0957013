"""Faults in words: what `300ms@20%` asks for, and how a set of faults is told in one line. Pure; injects nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from meshctl.errors import MeshError
from meshctl.model.steering import Fault
from meshctl.model.units import (
    format_duration,
    format_percent,
    format_size,
    parse_duration,
    parse_percent,
    parse_rate,
    parse_size,
)

LONGEST: Final = 24 * 3600.0
"""Seconds that a fault may be set for."""
USUAL: Final = 600.0
"""Seconds a fault lasts where nobody says how long."""
LONGEST_DELAY: Final = 3600.0

_STATUS: Final = re.compile(r"[45]\d\d", re.ASCII)

T = TypeVar("T")


def fault(
    service: str, *, caller: str = "", delay: str = "", abort: str = "", reset: str = "", throttle: str = "",
    lasting: str = "", who: str = "", now: float = 0.0,
) -> Fault:  # fmt: skip
    """The fault that the options of `traffic fault` ask for. Raises MeshError usage.

    >>> fault("orders", delay="300ms@20%", now=100.0).delay_share
    0.2
    """
    seconds, delay_share = _shared("--delay", delay, _delay, 0.0, "300ms@20%")
    status, abort_share = _shared("--abort", abort, _status, 0, "503@5%")
    rate, throttle_share = _shared("--throttle", throttle, _bytes_per_second, 0, "64KiB/s")
    reset_share = _value("--reset", reset, parse_percent, 0.0, "1%")
    if not (delay_share or abort_share or reset_share or throttle_share):
        hint = "give at least one of --delay, --abort, --reset and --throttle a share above 0%"
        raise MeshError("usage", "no fault is asked for", hint=hint)
    until = now + _value("--for", lasting, _lasting, USUAL, "2m")
    return Fault(
        service, caller, seconds, delay_share, status, abort_share, reset_share, rate, throttle_share, until, who, now
    )


def described(fault: Fault) -> str:
    """A fault in a line: `delay 300ms@20%, abort 503@5%, from web`."""
    parts = [
        (f"delay {format_duration(fault.delay)}", "@", fault.delay_share),
        (f"abort {fault.abort}", "@", fault.abort_share),
        ("reset", " ", fault.reset_share),
        (f"throttle {format_size(fault.throttle)}/s", "@", fault.throttle_share),
    ]
    said = [text if share == 1 else f"{text}{mark}{format_percent(share)}" for text, mark, share in parts if share]
    return ", ".join([*said, *([f"from {fault.caller}"] if fault.caller else [])])


def left(fault: Fault, now: float) -> str:
    """How long a fault will last: `1m40s`."""
    return format_duration(float(max(0, round(fault.until - now))))


def told(fault: Fault, now: float) -> str:
    """A fault and its end in a line: `abort 503@5%, ends in 1m40s`."""
    return f"{described(fault)}, ends in {left(fault, now)}"


def active(faults: Sequence[Fault], now: float) -> tuple[Fault, ...]:
    """Those that have not ended."""
    return tuple(each for each in faults if each.until > now)


def check_fits(fault: Fault, protocol: str) -> None:
    """Raise MeshError refused for faults that a service of that protocol cannot have."""
    if protocol != "tcp":
        return
    wrong = [name for name, share in (("--abort", fault.abort_share), ("--throttle", fault.throttle_share)) if share]
    if wrong:
        hint = "--delay and --reset apply to its connections"
        message = f'"{fault.service}" speaks no HTTP, so {" and ".join(wrong)} would do nothing'
        raise MeshError("refused", message, hint=hint)


def _shared(option: str, text: str, parse: Callable[[str], T], none: T, example: str) -> tuple[T, float]:
    """A value and its share: "300ms@20%"; without "@" it is for all."""
    if not text:
        return none, 0.0
    value, mark, share = text.partition("@")
    found = _parsed(option, value, parse, example)
    return found, _parsed(option, share, parse_percent, example) if mark else 1.0


def _value(option: str, text: str, parse: Callable[[str], T], none: T, example: str) -> T:
    return _parsed(option, text, parse, example) if text else none


def _parsed(option: str, text: str, parse: Callable[[str], T], example: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise MeshError("usage", f'{option} "{text}": {error}', hint=f"write it as {option} {example}") from error


def _delay(text: str) -> float:
    seconds = parse_duration(text)
    if not 0 < seconds <= LONGEST_DELAY:
        raise ValueError(f"expected a delay above 0 and of at most {format_duration(LONGEST_DELAY)}")
    return seconds


def _status(text: str) -> int:
    if not _STATUS.fullmatch(text):
        raise ValueError("expected a status from 400 to 599")
    return int(text)


def _bytes_per_second(text: str) -> int:
    size, mark, per = text.partition("/")
    # A rate of one is what its unit says: per minute, per second.
    count = parse_size(size) * (parse_rate(f"1/{per}") if mark else 1.0)
    if not mark or count < 1:
        raise ValueError('expected bytes in a second such as "64KiB/s", at least 1B/s')
    return round(count)


def _lasting(text: str) -> float:
    seconds = parse_duration(text)
    if not 0 < seconds <= LONGEST:
        raise ValueError(f"expected a duration above 0 and of at most {format_duration(LONGEST)}: faults always end")
    return seconds
